"""Weights & Biases: runs that need no account, and results as tables and charts."""

import netrc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import wandb
from rich.console import Console

from lic.config import WandbMode
from lic.curves.results import FULL_REFERENCE, HEADLINE, Results


def start_wandb(mode: WandbMode, name: str, config: dict[str, Any], folder: Path, job_type: str) -> Any:
    """Return a W&B run; `auto` means online where a key is configured, else offline.

    Args:
        mode: the setting.
        name: of the run.
        config: every setting.
        folder: where the run's files go.
        job_type: `train` or `eval`.
    """
    if mode == "auto":
        mode = "online" if _has_key() else "offline"
    quiet = wandb.Settings(silent=True, console="off")
    return wandb.init(project="lic", mode=mode, name=name, config=config, dir=folder, job_type=job_type, settings=quiet)


def _has_key() -> bool:
    """Return whether `wandb login` has been done, or a key is in the environment, without asking for one."""
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return bool(os.environ.get("WANDB_API_KEY")) or netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def log_results(results: Sequence[Results], folder: Path, step: int | None = None) -> None:
    """Log results to the present W&B run, if there is one: a table, a chart of each quality, a folder's figures."""
    if wandb.run is None:
        return
    tasks = [task for task in HEADLINE if any(task in r.ceiling for r in results)]
    columns: list[str | int] = ["codec", "lmbda", "quality", "bpp", *FULL_REFERENCE, *tasks]
    rows = [
        [r.name, point.lmbda, point.quality, point.bpp, *(point.score(name) for name in (*FULL_REFERENCE, *tasks))]
        for r in results
        for point in r.points
    ]
    log: dict[str, Any] = {"rate-task/table": wandb.Table(columns=columns, data=rows)}
    for name in (*FULL_REFERENCE, *tasks):
        curves = [[point.score(name) for point in r.points] for r in results]
        rates = [[point.bpp for point in r.points] for r in results]
        names = [r.name for r in results]
        log[f"rate-task/{name}"] = wandb.plot.line_series(rates, curves, names, f"{name} over bpp", "bpp")
    for image in ("curves", "reconstructions"):
        if (folder / f"{image}.png").is_file():
            log[f"rate-task/{image}"] = wandb.Image(str(folder / f"{image}.png"))
    wandb.run.log(log if step is None else {**log, "trainer/global_step": step})


def finish_wandb(console: Console) -> None:
    """End the present run; for an offline one print the command that uploads it."""
    if wandb.run is not None:
        folder, is_offline = Path(wandb.run.dir).parent, wandb.run.offline
        wandb.finish()
        if is_offline:
            console.print(f"W&B run kept offline; upload it with: wandb sync {folder}", highlight=False, soft_wrap=True)
