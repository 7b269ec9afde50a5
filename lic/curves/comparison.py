"""What tables of several codecs show, as data: BD-rates and BD-accuracies, drops against the ceiling."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lic.curves.bjontegaard_delta import Delta, bd_accuracy, bd_rate, drop_at
from lic.curves.results import FULL_REFERENCE, LABEL, Point, Results, list_networks, list_tasks, task_of

AT_BPP = (0.1, 0.25, 0.5, 1.0)
"""Rates at which the drop against the ceiling is shown, those of them that a curve reaches."""

DIGITS = {"psnr_db": 2, "ms_ssim": 4, "mlclipsim": 4}
"""Decimals of each quality; a task's score in percent has one."""


class BdCell(NamedTuple):
    """A Bjøntegaard difference in words."""

    value: float | None
    text: str
    over: str
    """The range that both curves reach."""
    note: str


class BdRow(NamedTuple):
    """One codec against the reference in one quality."""

    quality: str
    name: str
    rate: BdCell
    accuracy: BdCell
    is_first: bool
    is_last: bool
    """Whether it is the quality's first row, and its last."""


def bd_rows(reference: Results, results: Sequence[Results]) -> Iterator[BdRow]:
    """Return a row for each quality, task and `task@network`, and each codec but the reference."""
    candidates = [each for each in results if each is not reference]
    tasks = list_tasks([reference, *results])
    judged = [name for task in tasks for name in (task, *list_networks([reference, *results], task))]
    for quality in (*FULL_REFERENCE, *judged):
        if not any(math.isfinite(point.score(quality)) for each in candidates for point in each.points):
            continue
        factor, digits, unit = (1.0, DIGITS[quality], "") if quality in DIGITS else (100.0, 1, " pp")
        unit = " dB" if quality == "psnr_db" else unit
        for candidate in candidates:
            rate = bd_rate(reference, candidate, quality)
            accuracy = bd_accuracy(reference, candidate, quality)
            yield BdRow(
                label(quality),
                candidate.name,
                _bd_cell(rate, 1, "+.1f", " %", factor, f".{digits}f"),
                _bd_cell(accuracy, factor, f"+.{digits}f", unit, 1, ".3f"),
                candidate is candidates[0],
                candidate is candidates[-1],
            )


def _bd_cell(delta: Delta, factor: float, form: str, unit: str, range_factor: float, range_form: str) -> BdCell:
    if delta.value is None:
        return BdCell(None, "-", "", delta.note)
    low, high = range_factor * delta.low, range_factor * delta.high
    text = f"{factor * delta.value:{form}}{unit}"
    return BdCell(factor * delta.value, text, f"{low:{range_form}} to {high:{range_form}}", delta.note)


class DropRow(NamedTuple):
    """What one codec loses in one task at each of the rates."""

    task: str
    name: str
    drops: list[float | None]
    is_first: bool
    is_last: bool


def drops(results: Sequence[Results], at_bpp: Sequence[float] | None = None) -> tuple[list[float], list[DropRow]]:
    """Return the rates, and a row for each task and each codec; those of `AT_BPP` that a curve reaches by default."""
    tasks = [task for task in list_tasks(results) if any(math.isfinite(r.ceiling_score(task)) for r in results)]
    reached = [b for b in AT_BPP if any(drop_at(r, task, b) is not None for r in results for task in tasks)]
    rates = reached if at_bpp is None else list(at_bpp)
    rows = [
        DropRow(label(task), r.name, [drop_at(r, task, bpp) for bpp in rates], r is results[0], r is results[-1])
        for task in tasks
        for r in results
    ]
    return (rates, rows) if rows else ([], [])


def label(quality: str) -> str:
    """Return what people call a quality, a task, or `task@network`."""
    network = quality.partition("@")[2]
    return f"{LABEL[task_of(quality)]} ({network})" if network else LABEL[quality]


def setting(point: Point) -> str:
    """Return an operating point's setting in words."""
    if point.quality is not None:
        return f"q {point.quality}"
    return "" if point.lmbda is None else f"λ {point.lmbda:g}"


def scaled(value: float, quality: str) -> float:
    """Return a task's score in percent, and any other quality as it is."""
    return value if quality in FULL_REFERENCE else 100 * value
