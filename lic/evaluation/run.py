"""`lic eval`: checkpoints and baselines x tasks -> results files, table, BD-rates, figure, W&B."""

import dataclasses
import glob
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from lic.backbones.networks import build_network
from lic.codecs import SHIPPED, Header, load_codec
from lic.curves.naming import Curve
from lic.curves.results import Results
from lic.curves.seeds import check_grids
from lic.curves.table import print_bd_rates, print_drops, print_results
from lic.data.subset import subset
from lic.device import pick_device
from lic.distortions import build_mlclipsim
from lic.evaluation.baselines import baseline_coders
from lic.evaluation.coders import Coder, LearnedCoder
from lic.evaluation.judge import draw_grid, write_results
from lic.evaluation.rate_task import NUM_SAMPLES, RateTask, describe_folder, group_by_dataset, readable
from lic.evaluation.records import Shard, join_processes
from lic.images import list_images
from lic.settings import require
from lic.settings.evaluate import EvalConfig
from lic.settings.names import TaskName
from lic.tasks import Task, build_tasks
from lic.tracking.curves import log_evaluation

ALL_TASKS: tuple[TaskName, ...] = ("imagenet-cls", "coco-det", "voc-seg")


def evaluate_all(config: EvalConfig, console: Console) -> None:
    """Run an evaluation and print, write and log what comes of it; one process of those that `torchrun` starts."""
    shard = join_processes()
    console.quiet = shard.rank > 0
    device = pick_device(config.device)
    coders = learned_coders(config.checkpoint, device, config.lmbda) + baseline_coders(config)
    rate_tasks = _rate_tasks(config, device, shard, console)
    for rate_task in rate_tasks:
        _ = rate_task.ceiling  # whatever is wrong with networks or labels shows before the first image is coded
    for rate_task in rate_tasks:
        results = rate_task.results(coders)
        if shard.rank == 0:
            paths = _publish(results, rate_task, coders, console)
            checkpoints = checkpoint_files(config.checkpoint)
            log_evaluation(config.wandb, rate_task.config, results, paths, checkpoints, console)


def _publish(
    results: Sequence[Results], rate_task: RateTask, coders: Sequence[Coder], console: Console
) -> Sequence[Path]:
    """Write and print results; return their files."""
    folder = rate_task.folder
    assert folder is not None
    paths = write_results(results, folder)
    learned = next((coder for coder in coders if coder.lmbda is not None), None)
    if learned is not None:
        draw_grid(learned, rate_task, 128, folder / "reconstructions.png")
    _show(results, console)
    written = [*paths, folder / "curves.png"]
    console.print(f"written: {', '.join(map(str, written))}", highlight=False, soft_wrap=True)
    return paths


def learned_coders(
    patterns: Sequence[str] | None, device: torch.device, lmbda: Sequence[float] | None = None
) -> list[Coder]:
    """Return the operating points of checkpoints, by codec, distortion, label, seed and lmbda.

    Args:
        patterns: files, globs, run folders (their codec.safetensors) or folders of .safetensors; None: those shipped.
        device: where the codecs run.
        lmbda: operating points of variable-rate codecs; None: their grids.

    Raises:
        ValueError: a pattern that finds nothing, a file that is no codec's, an lmbda out of a codec's range, or seeds
            of one curve with different lmbdas.
    """
    loaded = [load_codec(path) for path in checkpoint_files(patterns)]
    pairs = [(each, point) for each in loaded for point in (each.codec.lmbdas and lmbda) or each.header.lmbda]
    pairs.sort(key=lambda pair: (_order(pair[0].header), pair[1]))
    grids: dict[Curve, dict[int, list[float]]] = {}
    for each, point in pairs:
        header = each.header
        if header.seed is not None:
            curve = Curve(header.codec, header.distortion, header.label)
            grids.setdefault(curve, {}).setdefault(header.seed, []).append(point)
    for curve, seeds in grids.items():
        check_grids(curve.name, seeds)
    return [LearnedCoder(each, lmbda, device) for each, lmbda in pairs]


def _order(header: Header) -> tuple[str, str, str, int]:
    return header.codec, header.distortion, header.label or "", -1 if header.seed is None else header.seed


def checkpoint_files(patterns: Sequence[str] | None) -> list[Path]:
    """Return the files that patterns mean, each once; see `learned_coders`."""
    patterns = [str(SHIPPED)] if patterns is None else patterns
    return list(dict.fromkeys(path for pattern in patterns for path in _matching(pattern)))


def _matching(pattern: str) -> list[Path]:
    found: list[Path] = []
    for path in sorted(Path(name) for name in glob.glob(str(Path(pattern).expanduser()))):
        found += sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not found:
        raise ValueError(f"no checkpoint at {pattern}: expected a file, a glob, or a folder with .safetensors files")
    return found


def _rate_tasks(config: EvalConfig, device: torch.device, shard: Shard, console: Console) -> list[RateTask]:
    root = Path(config.data_root).expanduser() if config.data_root else None
    require(root is None or root.is_dir(), f"data_root {root} is not a folder")
    if root is None:
        console.print("no --data_root: evaluating on the embedded demo scenes (synthetic; not COCO, not photographs)")
    if root is not None and not config.task:
        photographs = list_images(root)
        images = readable([photographs[i] for i in subset([str(path) for path in photographs], config.limit)])
        groups = [(describe_folder(root, images), images, list[Task]())]
    else:
        weights = config.network_weights or []
        networks = [build_network(name, None if file == "-" else file, device)
                    for name, file in itertools.zip_longest(config.network or [], weights)]  # fmt: skip
        groups = group_by_dataset(build_tasks(config.task or ALL_TASKS, networks, root, device, config.limit))
    is_blind = config.mlclipsim.pretrained == "demo" and root is not None and config.task is not None
    if is_blind:
        console.print("ML-CLIPSim is not measured: the demo encoder has seen no photograph; "
                      "--mlclipsim.pretrained takes an open_clip tag or a file", soft_wrap=True)  # fmt: skip
    metric = None if is_blind else build_mlclipsim(config.mlclipsim).to(device)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    num_samples = None if config.save_images else NUM_SAMPLES
    return [
        RateTask(dataset, images, tasks, metric, folder if len(groups) == 1 else folder / _slug(dataset),
                 dataclasses.asdict(config), shard, num_samples)
        for dataset, images, tasks in groups
    ]  # fmt: skip


def _slug(dataset: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-")


def _show(results: Sequence[Results], console: Console) -> None:
    print_results(results, console)
    if len(results) > 1:
        usual = [each for name in ("mse", "jpeg") for each in results if name in (each.distortion, each.codec)]
        reference = [*usual, *results][0]
        print_bd_rates(reference, results, console)
    print_drops(results, console=console)
