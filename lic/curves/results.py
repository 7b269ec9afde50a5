"""Results as data: what one codec costs and what it is worth on one dataset, as a JSON file.

    {"codec": "mbt2018-mean", "distortion": "mlclipsim", "dataset": "demo-scenes (embedded)",
     "points": [{"lmbda": 0.01, "bpp": 0.21, ..., "qualities": {"psnr": 27.4}, "coco-det": {"ap": 0.5, "ap50": 0.8}}],
     "ceiling": {"coco-det": {"ap": 0.6, "ap50": 0.9}}, "environment": {"torch": "2.11.0"},
     "networks": {"coco-det": ["yolox_nano"]}, "command": "python eval.py --task coco-det", "config": {"limit": null},
     "label": null, "seed": 0,
     "tasks": {"coco-det": {"headline": "ap", "label": "box AP", "subject": "Detection", "unit": "%", "digits": 1}},
     "costs": {"3f1c...": {"num_parameters": 1762000, "encode_kmac": 12.9, ..., "decode_bytes": 51000000, ...}},
     "protocol": "file", "bits": "real"}

Files without the last nine keys are older, and read all the same, as do those whose points have `psnr_db`, `ms_ssim`
and `mlclipsim` instead of `qualities`. Figures, tables and BD-rates are drawn from these
files alone, of tasks that nobody here knows, too. A value that could not be measured is `null` in the file and NaN
here. Where several networks judged a task, `coco-det` holds the mean of their scores, and `coco-det@network` those of
each.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal

from lic.curves.costs import Costs
from lic.curves.environment import read_environment as read_environment
from lic.curves.facts import METRICS, Facts, metric_facts
from lic.curves.naming import Curve

MAX_POINTS = 1000
LARGEST = 1e18
"""Of the numbers in a results file; JSON itself knows no bound."""

OLDER_QUALITIES = {"psnr_db": "psnr", "ms_ssim": "ms-ssim", "mlclipsim": "mlclipsim"}
"""Keys of points in files of before 2026-11-26, and the metrics that they are."""

TaskScores = dict[str, dict[str, float]]
Bits = Literal["real", "estimated", "unknown"]


def prediction_text(prediction: Any) -> str:
    """Return a prediction of a kind that nobody knows to draw, as the samples beside results hold it, in words."""
    text = prediction if isinstance(prediction, str) else json.dumps(prediction, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def task_of(name: str) -> str:
    """Return the task in `task@network`; any other quality is its own."""
    return name.partition("@")[0]


@dataclass(frozen=True)
class Point:
    """One operating point of a codec, averaged over a dataset."""

    lmbda: float | None
    """Rate-distortion trade-off the weights were trained for; None for codecs without one."""
    quality: int | None
    """Quality setting of a conventional codec such as JPEG; None for learned codecs."""
    checkpoint: str | None
    """SHA-256 of the weights."""
    bpp: float
    """Bits per pixel of the real streams, headers included."""
    bpp_estimated: float | None
    """Bits per pixel that the symbols should take by the codec's probability tables."""
    encode_seconds: float
    """Per image, as `decode_seconds`; beside whatever else the evaluation did at the time."""
    decode_seconds: float
    num_images: int
    qualities: dict[str, float] = field(default_factory=dict)
    """Means of the reconstructions' metrics, by name, such as {"psnr": 27.4, "ms-ssim": 0.93}."""
    tasks: TaskScores = field(default_factory=dict)
    """Scores by task, such as {"coco-det": {"ap": 0.5, "ap50": 0.8}}."""
    replicates: dict[str, list[float]] = field(default_factory=dict)
    """Headline scores on sets of images drawn with replacement, by task: the same sets for all curves on a dataset."""
    bpp_pooled: float | None = None
    """All bits over all pixels, as MPEG counts, where `bpp` is the mean over images; None: not recorded."""
    scale_percent: int | None = None
    """Of the sides of what was coded, where a codec makes images smaller first; None: it does not."""
    headlines: dict[str, str] = field(default_factory=dict)
    """The one score of each task that is shown, such as {"coco-det": "ap"}; the results that the point is of set it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bpp) and self.bpp > 0):
            raise ValueError(f"expected a positive number of bits per pixel, came bpp {self.bpp}")

    def score(self, name: str) -> float:
        """Return the value of a quality, or the headline score of a task; NaN where it was not measured.

        Args:
            name: a metric, a task, or `task@network`.
        """
        return self.qualities[name] if name in self.qualities else _score(self.tasks, name, self.headlines)

    def interval(self, name: str) -> tuple[float, float] | None:
        """Return the ends of a headline score's bootstrap interval; None where it was not measured."""
        low, high = (_score(self.tasks, name, self.headlines, end) for end in ("_low", "_high"))
        return (low, high) if math.isfinite(low) and math.isfinite(high) else None


@dataclass(frozen=True)
class Results:
    """The operating points of one codec, of one seed of its training, on one dataset."""

    codec: str
    distortion: str | None
    """What the codec was trained for; None for conventional codecs."""
    dataset: str
    points: tuple[Point, ...]
    """Sorted by bpp."""
    ceiling: TaskScores
    """Scores of the tasks on the uncompressed images."""
    environment: dict[str, str]
    networks: dict[str, list[str]] = field(default_factory=dict)
    """Names of the networks that judged each task."""
    command: str = ""
    """The exact command of the run."""
    config: dict[str, Any] = field(default_factory=dict)
    """The run's settings."""
    label: str | None = None
    """What the codec's training was called; None: nothing but its distortion."""
    seed: int | None = None
    """Of the codec's training; None for conventional codecs, checkpoints that do not say, and means over seeds."""
    tasks: dict[str, Facts] = field(default_factory=dict)
    """How each task is shown, without networks, in the order of panels and columns."""
    metrics: dict[str, Facts] = field(default_factory=dict)
    """How metrics are shown that are not the house's."""
    costs: dict[str, Costs] = field(default_factory=dict)
    """What the points' checkpoints cost, by SHA-256."""
    protocol: str = "file"
    """What of each file was coded (`lic.settings.names.ProtocolName`)."""
    bits: Bits = "real"
    """Whether rates are those of streams, or of probabilities."""

    def __post_init__(self) -> None:
        for scores in (self.ceiling, *(point.tasks for point in self.points)):
            check_scores(scores, self.tasks)
        points = [replace(point, headlines=self._headlines) for point in self.points]
        object.__setattr__(self, "points", tuple(sorted(points, key=lambda point: point.bpp)))

    @property
    def _headlines(self) -> dict[str, str]:
        return {name: facts.headline for name, facts in self.tasks.items()}

    @property
    def curve(self) -> Curve:
        """What tells these results from others on the dataset."""
        return Curve(self.codec, self.distortion, self.label, self.seed)

    @property
    def name(self) -> str:
        """Codec and, where there is one, the label of its training, else the distortion that it was trained for."""
        return self.curve.name

    @property
    def data(self) -> str:
        """The dataset and, where it is not the files as they are, the protocol."""
        return self.dataset if self.protocol == "file" else f"{self.dataset}, {self.protocol}"

    @property
    def is_learned(self) -> bool:
        """Whether this is a trained codec, not JPEG and its kind."""
        return all(point.quality is None for point in self.points)

    def ceiling_score(self, name: str) -> float:
        """Return the headline score on the uncompressed images; NaN where it was not measured."""
        return _score(self.ceiling, name, self._headlines)


def check_protocols(results: Sequence[Results]) -> None:
    """Raise ValueError, in one line, where results on a dataset follow several protocols."""
    for dataset in dict.fromkeys(each.dataset for each in results):
        names = {each.protocol: each.name for each in reversed(results) if each.dataset == dataset}
        listed = ", ".join(f"{protocol} ({name})" for protocol, name in sorted(names.items()))
        if len(names) > 1:
            raise ValueError(f"the results on {dataset} follow several protocols, {listed}: neither their rates nor "
                             "their scores compare; give those of one protocol")  # fmt: skip


def facts_of(results: Sequence[Results], name: str) -> Facts:
    """Return how a quality, a task, or `task@network` of these results is shown.

    Raises:
        ValueError: none of them knows it.
    """
    known = {name: metric_facts(name) for name in (*METRICS, *list_qualities(results))}
    known |= {quality: facts for each in reversed(results) for quality, facts in (each.metrics | each.tasks).items()}
    if task_of(name) not in known:
        raise ValueError(unknown("quality", name, known))
    return known[task_of(name)]


def list_tasks(results: Sequence[Results]) -> list[str]:
    """Return the tasks that any of these results has measured, in the order of the first that names them."""
    measured = {task_of(name) for name in _measured(results)}
    return [task for task in dict.fromkeys(task for each in results for task in each.tasks) if task in measured]


def list_qualities(results: Sequence[Results]) -> list[str]:
    """Return the metrics that any of these results has, in the order in which they were asked for."""
    return list(dict.fromkeys(name for each in results for point in each.points for name in point.qualities))


def list_networks(results: Sequence[Results], task: str) -> list[str]:
    """Return each `task@network` that any of these results has measured; none where one network judged the task."""
    return sorted(name for name in _measured(results) if name.startswith(f"{task}@"))


def _measured(results: Sequence[Results]) -> set[str]:
    return {name for r in results for scores in (r.ceiling, *(p.tasks for p in r.points)) for name in scores}


def _score(tasks: TaskScores, name: str, headlines: Mapping[str, str], end: str = "") -> float:
    return tasks.get(name, {}).get(headlines.get(task_of(name), "") + end, math.nan)


def check_scores(tasks: TaskScores, facts: Mapping[str, Facts]) -> None:
    """Raise ValueError unless it is known how each task is shown, and its headline score is there."""
    for name, scores in tasks.items():
        if task_of(name) not in facts:
            raise ValueError(unknown("task", name, facts))
        headline = facts[task_of(name)].headline
        check_type(name, scores, dict)
        if headline not in scores:
            raise ValueError(f"expected the score '{headline}' in {name}, came {', '.join(scores) or 'none'}")


def check_type(what: str, value: Any, kind: Any) -> None:
    """Raise ValueError unless what a results file holds is of a type, and no number beyond all bounds."""
    is_of_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not is_of_kind or (isinstance(value, int | float) and abs(value) > LARGEST):
        raise ValueError(f"expected {what} as {getattr(kind, '__name__', kind)}, came {json.dumps(value)[:40]}")


def unknown(what: str, name: str, choices: Iterable[str]) -> str:
    """Return a line about a name that is none of those known."""
    nearest = get_close_matches(name, list(choices), n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    return f"{what} '{name}' is unknown{hint} Choose from: {', '.join(choices)}"
