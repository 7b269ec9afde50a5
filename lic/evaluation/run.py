"""`eval.py`: checkpoints and baselines x tasks -> results files, table, BD-rates, figure, W&B."""

import dataclasses
import glob
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from lic.codecs import SHIPPED, load_codec
from lic.config import EvalConfig, TaskName, require
from lic.curves.results import Results
from lic.curves.table import print_bd_rates, print_results
from lic.curves.tracking import log_evaluation
from lic.distortions import build_mlclipsim
from lic.evaluation.baselines import baseline_coders
from lic.evaluation.coders import Coder, LearnedCoder
from lic.evaluation.judge import draw_grid, write_results
from lic.evaluation.rate_task import RateTask, build_rate_tasks, photographs
from lic.images import list_images

ALL_TASKS: tuple[TaskName, ...] = ("imagenet-cls", "coco-det", "voc-seg")


def evaluate_all(config: EvalConfig, console: Console) -> None:
    """Run an evaluation and print, write and log what comes of it."""
    device = pick_device(config.device)
    checkpoints = checkpoint_files(config.checkpoint)
    coders = learned_coders(config.checkpoint, device, config.lmbda) + baseline_coders(config)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    rate_tasks = _rate_tasks(config, device, console)
    for rate_task in rate_tasks:
        own = folder if len(rate_tasks) == 1 else folder / rate_task.dataset.split()[0].lower()
        results = rate_task.results(coders, own if config.save_images else None)
        paths = write_results(results, own)
        learned = next((coder for coder in coders if coder.lmbda is not None), None)
        if learned is not None:
            draw_grid(learned, rate_task, 128, own / "reconstructions.png")
        _show(results, console)
        written = [*paths, own / "curves.png"]
        console.print(f"written: {', '.join(map(str, written))}", highlight=False, soft_wrap=True)
        log_evaluation(config.wandb, dataclasses.asdict(config), results, paths, checkpoints, console)


def pick_device(name: str) -> torch.device:
    """Return a torch device; `auto` is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{name}' is not to be had on this machine: {str(error).splitlines()[0]}") from error


def learned_coders(
    patterns: Sequence[str] | None, device: torch.device, lmbda: Sequence[float] | None = None
) -> list[Coder]:
    """Return the operating points of checkpoints, by codec and lmbda.

    Args:
        patterns: files, globs, run folders (their codec.safetensors) or folders of .safetensors; None: those shipped.
        device: where the codecs run.
        lmbda: operating points of variable-rate codecs; None: their grids.

    Raises:
        ValueError: a pattern that finds nothing, a file that is no codec's, or an lmbda out of a codec's range.
    """
    loaded = [load_codec(path) for path in checkpoint_files(patterns)]
    pairs = [(each, point) for each in loaded for point in (each.codec.lmbdas and lmbda) or each.header.lmbda]
    pairs.sort(key=lambda pair: (pair[0].header.codec, pair[0].header.distortion, pair[1]))
    return [LearnedCoder(each, lmbda, device) for each, lmbda in pairs]


def checkpoint_files(patterns: Sequence[str] | None) -> list[Path]:
    """Return the files that patterns mean, each once; see `learned_coders`."""
    return list(dict.fromkeys(path for pattern in patterns or [str(SHIPPED)] for path in _matching(pattern)))


def _matching(pattern: str) -> list[Path]:
    found: list[Path] = []
    for path in sorted(Path(name) for name in glob.glob(str(Path(pattern).expanduser()))):
        found += sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not found:
        raise ValueError(f"no checkpoint at {pattern}: expected a file, a glob, or a folder with .safetensors files")
    return found


def _rate_tasks(config: EvalConfig, device: torch.device, console: Console) -> list[RateTask]:
    metric = build_mlclipsim(config.mlclipsim).to(device)
    if config.data_root is None:
        console.print("no --data_root: evaluating on the embedded demo scenes (synthetic; not COCO, not photographs)")
        return build_rate_tasks(config.task or ALL_TASKS, None, metric, device, config.limit)
    root = Path(config.data_root).expanduser()
    require(root.is_dir(), f"data_root {root} is not a folder")
    if config.task:
        return build_rate_tasks(config.task, root, metric, device, config.limit)
    return [photographs(root, list_images(root)[: config.limit], metric)]


def _show(results: Sequence[Results], console: Console) -> None:
    print_results(results, console)
    if len(results) > 1:
        reference = next((each for each in results if each.distortion == "mse"), results[-1])
        print_bd_rates(reference, results, console)
