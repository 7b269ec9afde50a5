"""A rate-task evaluation: one dataset's images, the tasks on them, their ceiling, and results of any coders."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from lic.atomic import write_file
from lic.cli import command_line
from lic.curves.facts import METRICS
from lic.curves.front import on_front
from lic.curves.naming import Curve, file_stems
from lic.curves.results import Point, Results, check_scores, read_environment, task_of
from lic.demo.scenes import cache_folder
from lic.evaluation.answers import write_answers
from lic.evaluation.baselines import PillowCoder, quality_for_bpp
from lic.evaluation.coders import Coder, LearnedCoder
from lic.evaluation.evaluate import (
    Progress,
    Scores,
    average,
    evaluate,
    plan_batches,
    predict_originals,
    write_sample,
)  # fmt: skip
from lic.evaluation.measure import Measures, facts_of_metric
from lic.evaluation.protocols import FILE, Protocol
from lic.evaluation.records import WHOLE, Record, Records, Shard, records_key
from lic.images import UnreadableImage, read_image
from lic.printing import Console, Words
from lic.report.samples import setting_folder
from lic.settings.names import BaselineName
from lic.tasks import Task, facts_by_task
from lic.tasks.questions import Questions

NUM_SAMPLES = 6
"""Images whose reconstructions are kept for the report and W&B."""


class RateTask:
    """What coders are compared on.

    Args:
        dataset: what the images are.
        images: their files, no two alike.
        tasks: what judges them.
        measures: what is measured of reconstructions besides.
        folder: gets the records of what was done, so that it is not done again, and samples; None: neither. It may be
            set later, as `shard` and `num_samples` may.
        config: the run's settings, for the results files.
        shard: this process's part of the work.
        num_samples: how many images' reconstructions are kept; None: all.
        protocol: what is coded of the files, and seen by the tasks.
    """

    def __init__(
        self,
        dataset: str,
        images: Sequence[Path],
        tasks: Sequence[Task],
        measures: Measures,
        folder: Path | None = None,
        config: dict[str, Any] | None = None,
        shard: Shard = WHOLE,
        num_samples: int | None = NUM_SAMPLES,
        protocol: Protocol = FILE,
    ) -> None:
        self.dataset, self.images, self.tasks, self.measures = dataset, list(images), list(tasks), measures
        self.folder, self.config, self.shard = folder, config or {}, shard
        self.num_samples, self.protocol = num_samples, protocol
        self._stems: dict[Curve, str] = {}

    @cached_property
    def originals(self) -> list[Record]:
        """The tasks' predictions on the uncompressed pictures, from the cache where the same was asked before."""
        merged: dict[Path, dict[str, Any]] = {path: {} for path in self.images}
        for task in self.tasks:
            key = records_key(task.images, task.name, task.fingerprint, self.protocol.name)
            records = Records(cache_folder() / "ceilings", key, self.shard.rank)
            with self._progress(f"uncompressed, {task.name}") as progress:
                batches = plan_batches(task.images, self.protocol)
                found = predict_originals(batches, [task], records, self.shard, progress, self.protocol)
            for path, record in zip(task.images, found, strict=True):
                merged[path] |= record.predictions
        return [Record(predictions, None) for predictions in merged.values()]

    @cached_property
    def ceiling(self) -> Scores:
        """The tasks' scores on the uncompressed pictures."""
        return self._scores(self.originals)[0]

    def results(self, coders: Sequence[Coder]) -> list[Results]:
        """Return one result per codec, distortion, label and seed, its operating points in order of rate.

        Processes that share the work have asked for the ceiling before, all of them or rank 0; the others than rank 0
        return nothing.
        """
        curves = [Curve(coder.codec, coder.distortion, coder.label, coder.seed) for coder in coders]
        found = list(dict.fromkeys(curves))
        self._stems |= zip(found, file_stems(found), strict=True)
        ceiling = {} if self.shard.rank else self.ceiling
        learned = [coder for coder in coders if isinstance(coder, LearnedCoder) and self.shard.rank == 0]
        costs = {coder.checkpoint: coder.costs() for coder in learned if coder.checkpoint}
        self._write_originals()
        if self.shard.rank == 0:  # others may not have asked for the ceiling
            self._write_answers(self.originals, "original")
        self.shard.barrier()  # before anybody looks which samples there are
        points: dict[Curve, list[Point]] = {}
        programs: dict[Curve, dict[str, str]] = {}
        for coder, curve in zip(coders, curves, strict=True):
            records = self._evaluate(coder, curve)
            if self.shard.rank == 0:
                point = average(coder, records, *self._scores(records))
                points.setdefault(curve, []).append(point)
                self._write_answers(records, self._stems[curve], setting_folder(coder))
                programs[curve] = {"program": coder.program} if coder.program else {}
        networks: dict[str, list[str]] = {}
        for task in self.tasks:
            networks.setdefault(task_of(task.name), []).append(task.network)
        command, facts = command_line(), facts_by_task(self.tasks)
        readers = {task.name: task.particulars for task in self.tasks if isinstance(task, Questions)}
        config = self.config | ({"readers": readers} if readers else {})
        own = {name: metric for name, metric in self.measures.metrics.items() if name not in METRICS}
        metrics = {name: facts_of_metric(metric) for name, metric in own.items()}
        found_results = [
            Results(curve.codec, curve.distortion, self.dataset, tuple(group), ceiling,
                    read_environment() | programs[curve], networks, command, config, curve.label, curve.seed,
                    facts, metrics,
                    {point.checkpoint: costs[point.checkpoint] for point in group if point.checkpoint in costs},
                    self.protocol.name)
            for curve, group in points.items()
        ]  # fmt: skip
        return [on_front(each) if any(p.scale_percent for p in each.points) else each for each in found_results]

    def _evaluate(self, coder: Coder, curve: Curve) -> list[Record]:
        key = records_key(self.images, coder.fingerprint, self._measures_fingerprint, *self._judges,
                          self.protocol.name)  # fmt: skip
        records = Records(self.folder / "records" if self.folder else None, key, self.shard.rank)
        place = self.place(curve, coder)
        samples = {path: place / name for path, name in self.sampled.items()}
        with self._progress(_describe(coder)) as progress:
            return evaluate(coder, self._batches, self.tasks, self.measures, records, self.shard, progress, samples,
                            self.protocol)  # fmt: skip

    def _write_answers(self, records: Sequence[Record], *names: str) -> None:
        if self.folder:
            predictions = dict(zip(self.images, (record.predictions for record in records), strict=True))
            write_answers(self.tasks, predictions, self.folder.joinpath("answers", *names))

    def place(self, curve: Curve, setting: Coder | Point) -> Path:
        """Return the folder of an operating point's reconstructions."""
        return self.samples / self._stems[curve] / setting_folder(setting)

    def sample_files(self, curve: Curve, point: Point) -> list[tuple[Path, Path]]:
        """Return the files of each sampled original and of what a codec of the latest results made of it."""
        place = self.place(curve, point)
        return [(self.samples / "original" / name, place / name) for name in self.sampled.values()]

    @property
    def _judges(self) -> list[str]:
        return [f"{task.name} {task.fingerprint}" for task in self.tasks]

    @cached_property
    def _measures_fingerprint(self) -> str:
        return self.measures.fingerprint

    @cached_property
    def _batches(self) -> list[list[Path]]:
        return plan_batches(self.images, self.protocol)

    @property
    def samples(self) -> Path:
        """The folder of reconstructions, a folder for each codec, and of `original`."""
        return (self.folder or Path()) / "samples"

    @property
    def sampled(self) -> dict[Path, str]:
        """File names of the images whose reconstructions are kept."""
        return _sample_names(self.images[: self.num_samples]) if self.folder else {}

    def _scores(self, records: Sequence[Record]) -> tuple[Scores, dict[str, list[float]]]:
        """Return each task's scores; where several networks judge a task, their mean under the task's own name.

        The second are the headlines' bootstrap replicates.
        """
        if self.shard.rank:
            return {}, {}
        predictions = dict(zip(self.images, (record.predictions for record in records), strict=True))
        originals = dict(zip(self.images, (record.predictions for record in self.originals), strict=True))
        scores: Scores = {}
        replicates: dict[str, list[float]] = {}
        facts = facts_by_task(self.tasks)
        groups: dict[str, list[dict[str, float]]] = {}
        for task in self.tasks:
            shown, reference = ([by[path][task.name] for path in task.images] for by in (predictions, originals))
            scores[task.name] = found = task.score(shown, reference)
            if isinstance(found, dict):  # a guest's may be anything
                replicates[task.name] = found.get(f"{task.facts.headline}_replicates", [])
                scores[task.name] = {key: value for key, value in found.items() if not key.endswith("_replicates")}
            if "@" in task.name:
                groups.setdefault(task_of(task.name), []).append(scores[task.name])
        check_scores(scores, facts)
        for name, group in groups.items():
            ends = {f"{facts[name].headline}_{end}" for end in ("low", "high")}  # of intervals have no mean
            scores[name] = {key: sum(each[key] for each in group) / len(group) for key in group[0] if key not in ends}
        return scores, {name: drawn for name, drawn in replicates.items() if drawn}

    def _write_originals(self) -> None:
        """Write the sampled originals with their predictions, and what the predictions' ids mean."""
        if not self.sampled or self.shard.rank:
            return
        key, marker = records_key(self.images, *self._judges, self.protocol.name), self.samples / "key"
        if not marker.is_file() or marker.read_text() != key:  # of other images, or judged by others
            shutil.rmtree(self.samples, ignore_errors=True)
            self.samples.mkdir(parents=True)
            write_file(key, marker)
        for path, record in zip(self.images, self.originals, strict=True):
            if path in self.sampled:
                original = self.protocol.original_beside(read_image(path))
                write_sample(self.samples / "original" / self.sampled[path], original, record)
        names = {task.name: task.classes for task in self.tasks}
        write_file(json.dumps(names, indent=1), self.samples / "classes.json")

    def comparable(self, names: Sequence[BaselineName], bpp: float) -> list[Coder]:
        """Return each of Pillow's baselines at the quality whose rate on these images is nearest to a rate."""
        pictures = [self.protocol.show(read_image(path)) for path in self.images] if names else []
        coders: list[Coder] = []
        for name in names:
            match name:
                case "vtm" | "vtm-scaled" | "vvenc" | "hm" | "bpg":
                    raise AssertionError("refused by the settings")
                case _:
                    coders.append(PillowCoder(name, quality_for_bpp(name, pictures, bpp, self.protocol)))
        return coders

    @contextmanager
    def _progress(self, name: str) -> Iterator[Progress]:
        columns = (Words("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(stderr=True, quiet=self.shard.rank > 0)
        with Bars(*columns, TimeRemainingColumn(), console=console) as bars:
            bar = bars.add_task(name, total=len(self.images))
            yield lambda done, total: bars.update(bar, completed=done, total=total)


def _describe(coder: Coder) -> str:
    setting = f"quality {coder.quality}" if coder.lmbda is None else f"lmbda {coder.lmbda:g}"
    setting += f" at {coder.scale_percent} %" if coder.scale_percent else ""
    seed = "" if coder.seed is None else f"seed {coder.seed}"
    return " ".join(filter(None, (coder.codec, coder.label or coder.distortion, seed, setting)))


def _sample_names(images: Sequence[Path]) -> dict[Path, str]:
    """Return a file name for each image: its own, as PNG, numbered where folders hold several of a name."""
    is_unique = len({path.stem for path in images}) == len(images)
    return {path: f"{path.stem}.png" if is_unique else f"{i:06d}-{path.stem}.png" for i, path in enumerate(images)}


def group_by_dataset(tasks: Sequence[Task]) -> list[tuple[str, list[Path], list[Task]]]:
    """Return dataset, images and tasks of each evaluation: tasks on the same images share one."""
    groups = []
    for dataset in dict.fromkeys(task.dataset for task in tasks):
        own = [task for task in tasks if task.dataset == dataset]
        for task in own:
            task.images = [path.resolve() for path in task.images]  # the demo scenes' sets link to the same files
        groups.append((dataset, list(dict.fromkeys(path for task in own for path in task.images)), own))
    return groups


def describe_folder(folder: Path, images: Sequence[Path]) -> str:
    """Return what results files call a folder of photographs."""
    return f"{len(images)} images of {folder.name}"


def readable(images: Sequence[Path]) -> list[Path]:
    """Return the images that can be read; the others are named on stderr and counted."""
    good, console = [], Console(stderr=True, soft_wrap=True)
    for path in images:
        try:
            read_image(path)
            good.append(path.resolve())
        except UnreadableImage as error:
            console.print(f"skipped: {error}")
    if len(good) < len(images):
        console.print(f"{len(images) - len(good)} of {len(images)} images could not be read and are skipped")
    if not good:
        raise ValueError(f"none of the {len(images)} images could be read")
    return good
