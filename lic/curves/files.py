"""Results files: `lic.curves.results.Results` as JSON, written whole and read with suspicion."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from lic.atomic import write_file
from lic.curves.costs import Costs
from lic.curves.facts import TASKS_OF_OLDER_FILES, Facts
from lic.curves.results import (
    MAX_POINTS,
    OLDER_QUALITIES,
    Bits,
    Point,
    Results,
    TaskScores,
    check_scores,
    check_type,
    unknown,
)

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
            raise ValueError(unknown("key", name, kinds))
        check_type(name, value, kinds[name])
    if content.get("bits", "real") not in get_args(Bits):
        raise ValueError(unknown("kind of bits", content["bits"], get_args(Bits)))
    for task, networks in content.get("networks", {}).items():
        check_type(f"networks of {task}", networks, list)
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
                raise ValueError(unknown(f"key of {task}", name, kinds))
            check_type(f"{name} of {task}", facts[name], kinds[name])
        if facts["unit"] not in get_args(get_type_hints(Facts)["unit"]):
            raise ValueError(f"expected the unit of {task} as %, dB or nothing, came {json.dumps(facts['unit'])[:40]}")
    return {task: Facts(**facts) for task, facts in content.items()}


def _parse_costs(content: Any) -> Costs:
    kinds = get_type_hints(Costs)
    _check_keys("costs", content, list(kinds))
    for name, value in content.items():
        if name not in kinds:
            raise ValueError(unknown("key of costs", name, kinds))
        check_type(name, value, kinds[name] | int if name.endswith("kmac") else kinds[name])
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
        check_type(name, values[name], kind if kind is int else kind | int)
    tasks = _parse_tasks({key: content[key] for key in content if key not in (*own, "replicates")}, facts)
    return Point(**values, qualities=_parse_qualities(qualities), tasks=tasks, replicates=replicates)


def _parse_replicates(content: Any) -> dict[str, list[float]]:
    check_type("replicates", content, dict)
    for task, values in content.items():
        check_type(f"replicates of {task}", values, list)
        for value in values:
            check_type(f"replicates of {task}", value, float | int | None)
    return {task: [math.nan if v is None else v for v in values] for task, values in content.items()}


def _parse_qualities(content: Any) -> dict[str, float]:
    check_type("qualities", content, dict)
    for name, value in content.items():
        check_type(name, value, float | int | None)
    return {name: math.nan if value is None else value for name, value in content.items()}


def _parse_tasks(content: TaskScores, facts: Mapping[str, Facts]) -> TaskScores:
    check_scores(content, facts)
    for task, scores in content.items():
        for name, score in scores.items():
            check_type(f"{task} {name}", score, float | int | None)
    return {task: {k: math.nan if v is None else v for k, v in scores.items()} for task, scores in content.items()}


def _check_keys(what: str, content: Any, names: Sequence[str]) -> None:
    check_type(what, content, dict)
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"expected the keys {', '.join(names)} in the {what}, but {', '.join(missing)} is missing")


def _without_nan(value: Any) -> Any:
    """Return JSON content with null for NaN and infinity, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
