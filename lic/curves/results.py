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
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from lic.atomic import write_file
from lic.curves.costs import Costs
from lic.curves.environment import read_environment as read_environment
from lic.curves.facts import METRICS, TASKS_OF_OLDER_FILES, Facts, metric_facts
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
        raise ValueError(_unknown("quality", name, known))
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


_OPTIONAL = ("bpp_pooled", "scale_percent")
"""Fields of a point that are keys of its JSON only where they say something."""
_NESTED = ("tasks", "headlines", "replicates")
"""Fields of a point that are no keys of its JSON: the tasks themselves are, and the results say what is shown."""
_LONG_LIST = re.compile(r"\[\n\s+(?:(?:[-\d.e]+|null),?\s+){50,}\]")  # of numbers: a line, not one for each


def save_results(results: Results, path: Path | str) -> None:
    """Write results as JSON; an interrupted write leaves an older file as it was."""
    path = Path(path)
    points = [
        {
            **{k: v for k, v in asdict(p).items() if k not in _NESTED and (v is not None or k not in _OPTIONAL)},
            **({"replicates": p.replicates} if p.replicates else {}),
            **p.tasks,
        }
        for p in results.points
    ]
    content = _without_nan({**asdict(results), "points": points})
    for name in ("metrics", "costs"):
        if not content[name]:
            del content[name]
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    text = _LONG_LIST.sub(lambda found: " ".join(found[0].split()), text)
    write_file(text + "\n", path)


def load_results(path: Path | str) -> Results:
    """Read a results file.

    Raises:
        ValueError: the file is missing, is not JSON, or is not a results file; one line with path and cause.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"results file '{path}' does not exist; `python -m lic eval` writes such files") from None
    except OSError as error:
        raise ValueError(f"results file '{path}' cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"results file '{path}' is not text; `python -m lic eval` writes such files") from error
    try:
        return _parse_results(json.loads(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"results file '{path}' is not JSON ({error}); `python -m lic eval` writes it anew") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"results file '{path}': {error}") from error


def _parse_results(content: Any) -> Results:
    kinds: Mapping[str, Any] = {
        "codec": str, "distortion": str | None, "dataset": str, "points": list, "ceiling": dict, "environment": dict,
        "networks": dict, "command": str, "config": dict, "label": str | None, "seed": int | None,
        "tasks": dict, "metrics": dict, "costs": dict, "protocol": str, "bits": str,
    }  # fmt: skip
    required = [each.name for each in fields(Results) if each.default is each.default_factory is MISSING]
    _check_keys("results", content, required)
    for name, value in content.items():
        if name not in kinds:
            raise ValueError(_unknown("key", name, kinds))
        _check_type(name, value, kinds[name])
    if content.get("bits", "real") not in get_args(Bits):
        raise ValueError(_unknown("kind of bits", content["bits"], get_args(Bits)))
    for task, networks in content.get("networks", {}).items():
        _check_type(f"networks of {task}", networks, list)
    if len(content["points"]) > MAX_POINTS:
        raise ValueError(f"expected at most {MAX_POINTS} operating points, came {len(content['points'])}")
    tasks = _parse_facts(content["tasks"]) if "tasks" in content else TASKS_OF_OLDER_FILES
    points = tuple(_parse_point(point, tasks) for point in content["points"])
    ceiling = _parse_tasks(content["ceiling"], tasks)
    own = {"tasks": dict(tasks), "metrics": _parse_facts(content.get("metrics", {})),
           "costs": {sha256: _parse_costs(each) for sha256, each in content.get("costs", {}).items()}}  # fmt: skip
    return Results(**{**content, "points": points, "ceiling": ceiling, **own})


def _parse_facts(content: Mapping[str, Any]) -> dict[str, Facts]:
    kinds = get_type_hints(Facts) | {"unit": str}
    for task, facts in content.items():
        _check_keys(f"facts of {task}", facts, list(kinds))
        for name in facts:
            if name not in kinds:
                raise ValueError(_unknown(f"key of {task}", name, kinds))
            _check_type(f"{name} of {task}", facts[name], kinds[name])
        if facts["unit"] not in get_args(get_type_hints(Facts)["unit"]):
            raise ValueError(f"expected the unit of {task} as %, dB or nothing, came {json.dumps(facts['unit'])[:40]}")
    return {task: Facts(**facts) for task, facts in content.items()}


def _parse_costs(content: Any) -> Costs:
    kinds = get_type_hints(Costs)
    _check_keys("costs", content, list(kinds))
    for name, value in content.items():
        if name not in kinds:
            raise ValueError(_unknown("key of costs", name, kinds))
        _check_type(name, value, kinds[name] | int if name.endswith("kmac") else kinds[name])
    return Costs(**content)


def _parse_point(content: Any, facts: Mapping[str, Facts]) -> Point:
    kinds = {name: kind for name, kind in get_type_hints(Point).items() if name not in ("qualities", *_NESTED)}
    is_older = isinstance(content, dict) and "qualities" not in content and "psnr_db" in content
    own = [*kinds, *(OLDER_QUALITIES if is_older else ["qualities"])]
    _check_keys("point", content, [name for name in own if name not in _OPTIONAL])
    replicates = _parse_replicates(content.get("replicates", {}))
    qualities = {name: content[key] for key, name in OLDER_QUALITIES.items()} if is_older else content["qualities"]
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        value = content.get(name)
        values[name] = math.nan if kind is float and value is None else value
        _check_type(name, values[name], kind if kind is int else kind | int)
    tasks = _parse_tasks({key: content[key] for key in content if key not in (*own, "replicates")}, facts)
    return Point(**values, qualities=_parse_qualities(qualities), tasks=tasks, replicates=replicates)


def _parse_replicates(content: Any) -> dict[str, list[float]]:
    _check_type("replicates", content, dict)
    for task, values in content.items():
        _check_type(f"replicates of {task}", values, list)
        for value in values:
            _check_type(f"replicates of {task}", value, float | int | None)
    return {task: [math.nan if v is None else v for v in values] for task, values in content.items()}


def _parse_qualities(content: Any) -> dict[str, float]:
    _check_type("qualities", content, dict)
    for name, value in content.items():
        _check_type(name, value, float | int | None)
    return {name: math.nan if value is None else value for name, value in content.items()}


def _parse_tasks(content: TaskScores, facts: Mapping[str, Facts]) -> TaskScores:
    check_scores(content, facts)
    for task, scores in content.items():
        for name, score in scores.items():
            _check_type(f"{task} {name}", score, float | int | None)
    return {task: {k: math.nan if v is None else v for k, v in scores.items()} for task, scores in content.items()}


def _check_keys(what: str, content: Any, names: Sequence[str]) -> None:
    _check_type(what, content, dict)
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"expected the keys {', '.join(names)} in the {what}, but {', '.join(missing)} is missing")


def _check_type(what: str, value: Any, kind: Any) -> None:
    is_of_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not is_of_kind or (isinstance(value, int | float) and abs(value) > LARGEST):
        raise ValueError(f"expected {what} as {getattr(kind, '__name__', kind)}, came {json.dumps(value)[:40]}")


def check_scores(tasks: TaskScores, facts: Mapping[str, Facts]) -> None:
    """Raise ValueError unless it is known how each task is shown, and its headline score is there."""
    for name, scores in tasks.items():
        if task_of(name) not in facts:
            raise ValueError(_unknown("task", name, facts))
        headline = facts[task_of(name)].headline
        _check_type(name, scores, dict)
        if headline not in scores:
            raise ValueError(f"expected the score '{headline}' in {name}, came {', '.join(scores) or 'none'}")


def _without_nan(value: Any) -> Any:
    """Return JSON content with null for NaN and infinity, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _unknown(what: str, name: str, choices: Iterable[str]) -> str:
    nearest = get_close_matches(name, list(choices), n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    return f"{what} '{name}' is unknown{hint} Choose from: {', '.join(choices)}"
