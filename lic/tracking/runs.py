"""Weights & Biases runs: they need no account, are grouped by codec x distortion, and tagged by lmbda."""

import netrc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import wandb

from lic.printing import Console
from lic.settings.tracking import WandbConfig


def start_wandb(
    where: WandbConfig, name: str, config: dict[str, Any], folder: Path, job_type: str, group: str,
    lmbdas: Sequence[float],
) -> Any:
    """Return a W&B run; `auto` means online where a key is configured, else offline.

    Args:
        where: project, mode and the like.
        name: of the run.
        config: every setting.
        folder: where the run's files go.
        job_type: `train` or `eval`.
        group: codec and label or distortion, as `Results.name` has them: its seeds share a group.
        lmbdas: the operating points, which become tags.
    """
    mode = where.mode
    if mode == "auto":
        mode = "online" if has_key() else "offline"
    quiet = wandb.Settings(silent=True, console="off")
    tags = [*(where.tags or []), *(f"lmbda={lmbda:g}" for lmbda in lmbdas)]
    return wandb.init(
        project=where.project, entity=where.entity, mode=mode, name=name, config=config, dir=folder, job_type=job_type,
        group=group, tags=tags, settings=quiet,
    )  # fmt: skip


def has_key() -> bool:
    """Return whether `wandb login` has been done, or a key is in the environment, without asking for one."""
    hosts = [urlparse(wandb.setup().settings.base_url).netloc]
    if "WANDB_BASE_URL" not in os.environ:
        hosts.append("api.wandb.ai")  # keys of before wandb 0.31, which it still takes
    try:
        return bool(os.environ.get("WANDB_API_KEY")) or any(map(netrc.netrc().authenticators, hosts))
    except (OSError, netrc.NetrcParseError):
        return False


def present_run() -> Any:
    """Return the W&B run that has been started; None where there is none, or it is disabled."""
    return None if wandb.run is None or wandb.run.disabled else wandb.run


def finish_wandb(console: Console) -> None:
    """End the present run; for an offline one print the command that uploads it."""
    run = present_run()
    upload = f"wandb sync {Path(run.dir).parent}" if run is not None and run.offline else None
    wandb.finish()
    if upload:
        console.print(f"W&B run kept offline; upload it with: {upload}", soft_wrap=True)
