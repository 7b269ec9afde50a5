"""`lic eval`: checkpoints and baselines x tasks -> results files, table, BD-rates, figure, W&B."""

import dataclasses
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from lic.codecs import PHOTOS, SHIPPED, Header, load_codec
from lic.curves.naming import Curve
from lic.curves.results import Results
from lic.curves.seeds import check_grids
from lic.curves.table import print_bd_rates, print_drops, print_results
from lic.device import pick_device
from lic.evaluation.baselines import baseline_coders
from lic.evaluation.coders import Coder, LearnedCoder
from lic.evaluation.exported import check_export, export
from lic.evaluation.plan import place, plan_evaluation
from lic.evaluation.rate_task import NUM_SAMPLES, RateTask
from lic.evaluation.records import join_processes
from lic.evaluation.written import draw_grid, write_results
from lic.printing import Console
from lic.settings.evaluate import EvalConfig
from lic.settings.metrics import MetricsConfig
from lic.settings.names import HarnessName
from lic.tracking.curves import log_evaluation


def evaluate(config: EvalConfig, console: Console | None = None) -> list[list[Results]]:
    """Run an evaluation; print, write and log what comes of it; one process of those that `torchrun` starts.

    Args:
        config: every setting of `eval.py`.
        console: where progress and tables go; default standard output.

    Returns:
        for each data set the results files' contents, a curve each.

    Raises:
        ValueError: in one line: data, networks or checkpoints that are missing or do not fit.
    """
    console = console or Console()
    shard = join_processes()
    console.quiet = shard.rank > 0
    device = pick_device(config.device)
    shipped = PHOTOS if config.data_root else SHIPPED
    checkpoints = [str(shipped)] if config.checkpoint is None else config.checkpoint
    coders = learned_coders(checkpoints, device, config.lmbda, config.codec or (), config.tile)
    coders += baseline_coders(config)
    if not config.data_root:
        console.print("no --data_root: evaluating on the embedded demo scenes (synthetic; not COCO, not photographs)")
    rate_tasks = plan_evaluation(
        config, MetricsConfig(config.mlclipsim), device, console, dataclasses.asdict(config), shard
    )
    if config.export:
        check_export(Path(config.export[1]), rate_tasks, config.limit)
    place(rate_tasks, Path(config.output), None if config.save_images or config.export else NUM_SAMPLES)
    for rate_task in rate_tasks:
        _ = rate_task.ceiling  # whatever is wrong with networks or labels shows before the first image is coded
    judged: list[list[Results]] = []
    for rate_task in rate_tasks:
        results = list(rate_task.results(coders))
        judged.append(results)
        if shard.rank == 0:
            paths = _publish(results, rate_task, console)
            files = checkpoint_files(checkpoints)
            log_evaluation(config.wandb, rate_task.config, results, paths, files, console)
            if config.export:
                harness, folder = config.export
                points = export(cast(HarnessName, harness), Path(folder), rate_task, results)
                console.print(f"exported for {harness}: {', '.join(map(str, points))}", soft_wrap=True)
    return judged


def _publish(results: Sequence[Results], rate_task: RateTask, console: Console) -> Sequence[Path]:
    """Write and print results; return their files."""
    folder = rate_task.folder
    assert folder is not None
    paths = write_results(results, folder)
    learned = next((each for each in results if each.is_learned), None)
    if learned is not None:
        draw_grid(rate_task, learned, folder / "reconstructions.png")
    _show(results, console)
    written = [*paths, folder / "curves.png"]
    console.print(f"written: {', '.join(map(str, written))}", soft_wrap=True)
    return paths


def learned_coders(
    patterns: Sequence[str],
    device: torch.device,
    lmbda: Sequence[float] | None = None,
    guests: Sequence[str] = (),
    tile: int | None = None,
) -> list[Coder]:
    """Return the operating points of checkpoints, by codec, distortion, label, seed and lmbda.

    Args:
        patterns: files, globs, run folders (their codec.safetensors) or folders of .safetensors.
        device: where the codecs run.
        lmbda: operating points of variable-rate codecs; None: their grids.
        guests: files of codecs that are not the house's.
        tile: side of the tiles in which large images are transformed; None: whole.

    Raises:
        ValueError: a pattern that finds nothing, a file that is no codec's, an lmbda out of a codec's range, or seeds
            of one curve with different lmbdas.
    """
    loaded = [load_codec(path, guests) for path in checkpoint_files(patterns)]
    pairs = [(each, point) for each in loaded for point in (each.codec.grid and lmbda) or each.header.lmbda]
    pairs.sort(key=lambda pair: (_order(pair[0].header), pair[1]))
    grids: dict[Curve, dict[int, list[float]]] = {}
    for each, point in pairs:
        header = each.header
        if header.seed is not None:
            curve = Curve(header.codec, header.distortion, header.label)
            grids.setdefault(curve, {}).setdefault(header.seed, []).append(point)
    for curve, seeds in grids.items():
        check_grids(curve.name, seeds)
    return [LearnedCoder(each, lmbda, device, tile) for each, lmbda in pairs]


def _order(header: Header) -> tuple[str, str, str, int]:
    return header.codec, header.distortion, header.label or "", -1 if header.seed is None else header.seed


def checkpoint_files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that patterns mean, each once; see `learned_coders`."""
    return list(dict.fromkeys(path for pattern in patterns for path in _matching(pattern)))


def _matching(pattern: str) -> list[Path]:
    found: list[Path] = []
    named = Path(pattern).expanduser()
    for path in [named] if named.exists() else sorted(map(Path, glob.glob(str(named)))):  # names may hold brackets
        found += sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not found:
        raise ValueError(f"no checkpoint at {pattern}: expected a file, a glob, or a folder with .safetensors files")
    return found


def _show(results: Sequence[Results], console: Console) -> None:
    print_results(results, console)
    if len(results) > 1:
        usual = [each for name in ("mse", "jpeg") for each in results if name in (each.distortion, each.codec)]
        reference = [*usual, *results][0]
        print_bd_rates(reference, results, console)
    print_drops(results, console=console)
