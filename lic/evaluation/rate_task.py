"""A rate-task evaluation: one dataset's images, the tasks on them, their ceiling, and results of any coders."""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lic.config import BaselineName, TaskName
from lic.curves.results import Point, Results, read_environment
from lic.distortions import MLCLIPSim
from lic.evaluation.coders import QUALITIES, Coder, PillowCoder, quality_for_bpp
from lic.evaluation.evaluate import Ceiling, evaluate, uncompressed
from lic.images import UnreadableImage, read_image
from lic.tasks import Task, build_tasks


class RateTask:
    """What coders are compared on."""

    def __init__(self, dataset: str, images: Sequence[Path], tasks: Sequence[Task], metric: MLCLIPSim) -> None:
        self.dataset, self.images, self.tasks, self.metric = dataset, list(images), list(tasks), metric
        self.console = Console(stderr=True)

    @cached_property
    def ceiling(self) -> Ceiling:
        """The tasks' scores on the uncompressed images."""
        with self._progress() as progress:
            bar = progress.add_task("uncompressed", total=len(self.images))
            return uncompressed(self.images, self.tasks, partial(progress.advance, bar))

    def results(self, coders: Sequence[Coder], save_to: Path | None = None) -> list[Results]:
        """Return one result per codec and distortion, its operating points in order of rate.

        Args:
            coders: the operating points.
            save_to: folder that gets a folder of decoded images for each of them.
        """
        ceiling = self.ceiling if self.tasks else {}
        points: dict[tuple[str, str | None], list[Point]] = {}
        with self._progress() as progress:
            for coder in coders:
                setting = f"quality {coder.quality}" if coder.lmbda is None else f"lmbda {coder.lmbda:g}"
                name = " ".join(filter(None, (coder.codec, coder.distortion, setting)))
                bar = progress.add_task(name, total=len(self.images))
                folder = save_to / name.replace(" ", "-") if save_to else None
                if folder:
                    folder.mkdir(parents=True, exist_ok=True)
                advance = partial(progress.advance, bar)
                point = evaluate(coder, self.images, self.tasks, self.metric, advance, folder)
                points.setdefault((coder.codec, coder.distortion), []).append(point)
        environment = read_environment()
        return [
            Results(codec, distortion, self.dataset, tuple(group), ceiling, environment)
            for (codec, distortion), group in points.items()
        ]

    def comparable(self, names: Sequence[BaselineName], bpp: float) -> list[Coder]:
        """Return each baseline at the quality whose rate on these images is nearest to a rate."""
        images = [read_image(path) for path in self.images]
        return [PillowCoder(name, quality_for_bpp(name, images, bpp)) for name in names]

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, TimeRemainingColumn(), console=self.console)


def baseline_grid(names: Sequence[BaselineName]) -> list[Coder]:
    """Return the baselines at all qualities of their grids."""
    return [PillowCoder(name, quality) for name in names for quality in QUALITIES[name]]


def build_rate_tasks(
    names: Sequence[TaskName], data_root: Path | None, metric: MLCLIPSim, device: torch.device, limit: int | None
) -> list[RateTask]:
    """Return one evaluation per dataset: tasks on the same images share it.

    Args:
        names: at least one task.
        data_root: where the data is; None for the demo scenes.
        metric: ML-CLIPSim.
        device: of the task networks.
        limit: use only so many images of each task.
    """
    tasks = build_tasks(names, (), data_root, device, limit)
    evaluations = []
    for dataset in dict.fromkeys(task.dataset for task in tasks):
        own = [task for task in tasks if task.dataset == dataset]
        images = dict.fromkeys(path.resolve() for task in own for path in task.images)
        evaluations.append(RateTask(dataset, list(images), own, metric))
    return evaluations


def photographs(folder: Path, images: Sequence[Path], metric: MLCLIPSim) -> RateTask:
    """Return an evaluation of images without labels: rate and full-reference metrics only."""
    return RateTask(f"{len(images)} images of {folder.name}", readable(images), [], metric)


def readable(images: Sequence[Path]) -> list[Path]:
    """Return the images that can be read; the others are named on stderr and counted."""
    good, console = [], Console(stderr=True, soft_wrap=True)
    for path in images:
        try:
            read_image(path)
            good.append(path)
        except UnreadableImage as error:
            console.print(f"skipped: {error}", markup=False, highlight=False)
    if len(good) < len(images):
        console.print(f"{len(images) - len(good)} of {len(images)} images could not be read and are skipped")
    if not good:
        raise ValueError(f"none of the {len(images)} images could be read")
    return good
