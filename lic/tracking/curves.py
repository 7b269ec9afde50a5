"""Results in W&B, so that panels of a project overlay all of its runs.

rate_task/coco-det              table with a row for each operating point and network
rate_task/coco-det/curves       the line chart of that table
rate_task/bpp, rate_task/coco-det/score     a history row for each operating point; the last is in the summary
rate_task/coco-det/bpp_for_99   in the summary: the rate that first reaches 99 % of the uncompressed score; so for 95 %
samples/original, samples/reconstruction    images with boxes and masks (media.py)
artifacts of type `model` and `results`     (lineage.py)
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from lic.curves.bjontegaard_delta import bpp_for
from lic.curves.comparison import SHARES
from lic.curves.results import Results, list_qualities, list_tasks, task_of
from lic.printing import Console
from lic.settings.tracking import WandbConfig
from lic.tracking.artifacts import log_artifacts
from lic.tracking.media import log_samples
from lic.tracking.runs import only_reporting, present_run, start_wandb

COLUMNS = (
    "curve", "codec", "distortion", "seed", "lmbda", "quality", "bpp", "score", "low", "high", "ceiling", "network",
)  # fmt: skip
CHART = "wandb/lineseries/v0"
LINES = {"step": "bpp", "lineKey": "curve", "lineVal": "score"}
"""What W&B's own chart draws of a table's columns."""


def log_results(results: Sequence[Results], folders: Sequence[Path], step: int | None = None) -> None:
    """Log results to the present W&B run, if there is one: tables, their charts, and the folders' figures."""
    run = present_run()
    if run is None:
        return
    log: dict[str, Any] = {}
    for name in _qualities(results):
        rows = [row for result in results for row in _rows(result, name)]
        log[f"rate_task/{name}"] = wandb.Table(columns=list(COLUMNS), data=rows)
        chart = wandb.Table(columns=list(COLUMNS), data=rows)  # a table belongs to one key
        titles = {"title": f"{name} over bits per pixel", "xname": "bpp"}
        log[f"rate_task/{name}/curves"] = wandb.plot_table(CHART, chart, LINES, titles)
    for folder, image in itertools.product(folders, ("curves", "reconstructions")):
        if (folder / f"{image}.png").is_file():
            name = image if len(folders) == 1 else f"{folder.name}-{image}"
            log[f"rate_task/figures/{name}"] = wandb.Image(str(folder / f"{image}.png"))
    run.log(log if step is None else {**log, "trainer/global_step": step})


def log_curve(result: Results) -> None:
    """Log one codec's operating points, in order of rate, and what bits it needs, to the present run, if any."""
    run = present_run()
    if run is None:
        return
    names = _qualities([result])
    run.define_metric("rate_task/bpp")
    for name in names:
        run.define_metric(f"rate_task/{name}/score", step_metric="rate_task/bpp")
    for point in result.points:
        scores = {f"rate_task/{name}/score": point.score(name) for name in names}
        measured = {name: score for name, score in scores.items() if math.isfinite(score)}
        run.log({"rate_task/bpp": point.bpp, **measured})
    run.summary.update(_needed(result))


def _needed(result: Results) -> dict[str, float]:
    """Return the rates at which each task's score first reaches a share of the ceiling, those that are known."""
    found = {f"rate_task/{task}/bpp_for_{100 * share:.0f}": bpp_for(result, task, share)
             for task in list_tasks([result]) for share in SHARES}  # fmt: skip
    return {key: bpp for key, bpp in found.items() if bpp is not None}


def log_evaluation(
    where: WandbConfig, config: dict[str, Any], results: Sequence[Results], paths: Sequence[Path],
    checkpoints: Sequence[Path], console: Console,
) -> None:  # fmt: skip
    """Log each result of an evaluation as a W&B run of its own: a run is one curve.

    Args:
        where: project, mode and the like.
        config: every setting of the evaluation.
        results: of one dataset.
        paths: their files; figures, and samples in folders of the files' names, are beside them.
        checkpoints: the files of the learned codecs among the results.
        console: gets the command that uploads offline runs.
    """
    if where.mode == "disabled":
        return
    offline = None
    for result, path in zip(results, paths, strict=True):
        settings = {**config, **result.curve._asdict(), "dataset": result.dataset,
                    "protocol": result.protocol}  # fmt: skip
        lmbdas = [point.lmbda for point in result.points if point.lmbda is not None]
        name = f"{path.parent.name}-{path.stem}"
        with (
            only_reporting(name),
            start_wandb(where, name, settings, path.parent, "eval", result.name, lmbdas) as run,
        ):
            log_results([result], [path.parent])
            log_samples(path.parent, path.stem)
            log_curve(result)
            log_artifacts([result], [path, path.parent / "curves.png"], used=checkpoints)
            offline = Path(run.dir).parent.parent if run.offline else None
    if offline:
        command = f"wandb sync {offline}/offline-run-*"
        console.print(f"W&B runs kept offline; upload them with: {command}", soft_wrap=True)


def _qualities(results: Sequence[Results]) -> list[str]:
    """Return the tasks that any result has, without their networks, and the full-reference qualities."""
    measured = {task_of(key) for result in results for point in result.points for key in point.tasks}
    return [*(task for task in list_tasks(results) if task in measured), *list_qualities(results)]


def _rows(result: Results, name: str) -> list[list[str | float | None]]:
    """Return the rows of a quality's table: for a task with several networks their mean's, then each one's."""
    rows: list[list[str | float | None]] = []
    seed = "" if result.seed is None else f", seed {result.seed}"
    name_and_data = f"{result.name}{seed}, {result.data}"  # a project may hold several seeds and datasets
    for point in result.points:
        start = [result.codec, result.distortion, result.seed, point.lmbda, point.quality, point.bpp]
        if name in list_qualities([result]):
            rows.append([name_and_data, *start, _finite(point.score(name)), None, None, None, None])
            continue
        for key in sorted(key for key in point.tasks if task_of(key) == name):
            score, values, network = result.tasks[name].headline, point.tasks[key], key.partition("@")[2]
            numbers = [values[score], *(values.get(f"{score}_{end}", math.nan) for end in ("low", "high"))]
            numbers.append(result.ceiling.get(key, {}).get(score, math.nan))
            curve = f"{name_and_data}, {network}" if network else name_and_data
            rows.append([curve, *start, *map(_finite, numbers), network or None])
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
