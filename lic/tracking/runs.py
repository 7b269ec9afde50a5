"""Weights & Biases runs: they need no account, are grouped by codec x distortion, and tagged by lmbda."""

import netrc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import urlopen

import wandb

from lic.printing import Console
from lic.settings.tracking import WandbConfig

REACH_SECONDS = 5


def start_wandb(
    where: WandbConfig, name: str, config: dict[str, Any], folder: Path, job_type: str, group: str,
    lmbdas: Sequence[float],
) -> Any:
    """Return a W&B run; `auto` means online where a key is configured, else offline.

    A run that W&B's server cannot be told of, for want of a network or of a key that it takes, is kept offline.

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
    _keep_staged_files(folder)
    quiet = wandb.Settings(silent=True, console="off")
    tags = [*(where.tags or []), *(f"lmbda={lmbda:g}" for lmbda in lmbdas)]
    start = partial(
        wandb.init, project=where.project, entity=where.entity, name=name, config=config, dir=folder,
        job_type=job_type, group=group, tags=tags, settings=quiet,
    )  # fmt: skip
    if mode == "online":
        try:
            _reach_server()
            return start(mode=mode)
        except (wandb.Error, OSError) as error:
            _say(f"W&B cannot be told of this run, which is kept offline: {_cause(error)}")
            mode = "offline"
    return start(mode=mode)


def _reach_server() -> None:
    """Raise OSError within seconds where there is no network; `wandb.init` tries for minutes."""
    try:
        with urlopen(wandb.setup().settings.base_url, timeout=REACH_SECONDS):
            pass
    except HTTPError:  # an answer
        pass


def _keep_staged_files(folder: Path) -> None:
    """Have W&B copy what it uploads into the run's folder where there is no home to write to (containers)."""
    places = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")
    home = os.path.expanduser("~")  # Path.home() fails for a user without a name, as containers have them
    if not os.access(home, os.W_OK) or not os.path.isdir(home):
        for name in places:
            os.environ.setdefault(name, str(folder.resolve() / "wandb"))


@contextmanager
def only_reporting(what: str) -> Iterator[None]:
    """Turn what W&B or its files raise into a line: the results are on disk, and whatever is left to do goes on."""
    try:
        yield
    except (wandb.Error, OSError) as error:
        _say(f"W&B did not take {what}: {_cause(error)}")


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(text)


def _cause(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
    with only_reporting("the end of this run"):
        wandb.finish()
    if upload:
        console.print(f"W&B run kept offline; upload it with: {upload}", soft_wrap=True)
