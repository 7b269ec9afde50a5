"""What tables of several codecs show, as data: BD-rates and BD-accuracies, drops against the ceiling."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import NamedTuple

from lic.curves.bjontegaard_delta import Delta, bd_accuracy, bd_rate, bpp_for, can_fit, drop_at
from lic.curves.results import Point, Results, facts_of, list_networks, list_qualities, list_tasks
from lic.curves.seeds import group_seeds, merge_seeds
from lic.settings.names import FitName

AT_BPP = (0.1, 0.25, 0.5, 1.0)
"""Rates at which the drop against the ceiling is shown, those of them that a curve reaches."""


SHARES = (0.95, 0.99)
"""Of the ceiling, for which the rates are shown that reach them."""


class BdCell(NamedTuple):
    """A Bjøntegaard difference in words."""

    value: float | None
    """Over several seeds: the mean."""
    text: str
    """Over several seeds: mean, and the range in brackets, `-43.1 % (-45.0 to -40.2)`."""
    over: str
    """The range that both curves reach; over several seeds, from the lowest end to the highest."""
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
    fitted: BdCell
    """BD-rate with curves that do not rise fitted; blank where no fit is asked for, or it is not for such a quality."""


BLANK = BdCell(None, "", "", "")


class Comparison(NamedTuple):
    """One codec against the reference: a pair of curves for each of its seeds, one pair where it has none."""

    name: str
    seeds: list[int | None]
    pairs: list[tuple[Results, Results]]
    """Reference and candidate."""


def compare(reference: Results, results: Sequence[Results]) -> list[Comparison]:
    """Return what is compared with what: each curve but the reference, seed by seed.

    Args:
        reference: the one of the results that stands for 0 %, or any of its seeds; others are taken too.
        results: codecs on the same dataset, each seed for itself. A candidate's seed is compared with the same seed of
            the reference, and with the mean of the reference's seeds where there is no such seed or none at all.
    """
    groups = group_seeds(results)
    own = next((group for group in groups if any(each is reference for each in group)), [reference])
    (mean,) = merge_seeds(own)
    by_seed = {each.seed: each for each in own if each.seed is not None}
    tasks = {task: facts_of([reference, *results], task) for task in list_tasks([reference, *results])}

    def reference_of(each: Results) -> Results:
        return mean if each.seed is None else by_seed.get(each.seed, mean)

    def knowing_all(each: Results) -> Results:
        return replace(each, tasks={**tasks, **each.tasks})  # what it has not measured is unmeasured, not unknown

    return [
        Comparison(
            group[0].name,
            [each.seed for each in group],
            [(knowing_all(reference_of(each)), knowing_all(each)) for each in group],
        )
        for group in groups
        if group is not own
    ]


def bd_rows(reference: Results, results: Sequence[Results], fit: FitName | None = None) -> Iterator[BdRow]:
    """Return a row for each quality, task and `task@network`, and each codec but the reference; see `compare`."""
    comparisons = compare(reference, results)
    everything = [reference, *results]
    judged = [name for task in list_tasks(everything) for name in (task, *list_networks(everything, task))]
    for quality in (*list_qualities([reference, *results]), *judged):
        candidates = [candidate for each in comparisons for _, candidate in each.pairs]
        if not any(math.isfinite(point.score(quality)) for each in candidates for point in each.points):
            continue
        facts = facts_of(everything, quality)
        for each in comparisons:
            rates, accuracies = ([delta(*pair, quality) for pair in each.pairs] for delta in (bd_rate, bd_accuracy))
            in_words = partial(_bd_cell, seeds=each.seeds, factor=1, form="+.1f", unit=" %", range_factor=facts.factor,
                               range_form=f".{facts.digits}f")  # fmt: skip
            is_fitted = fit is not None and can_fit(facts)
            yield BdRow(
                label(everything, quality),
                each.name,
                in_words(rates),
                _bd_cell(accuracies, each.seeds, facts.factor, f"+.{facts.digits}f", facts.difference_unit, 1, ".3f"),
                each is comparisons[0],
                each is comparisons[-1],
                in_words([bd_rate(*pair, quality, fit) for pair in each.pairs]) if is_fitted else BLANK,
            )


def bd_rate_texts(comparison: Comparison, qualities: Sequence[str]) -> list[str]:
    """Return the BD-rate in each quality in words, in percent but without the unit."""
    found = [[bd_rate(*pair, quality) for pair in comparison.pairs] for quality in qualities]
    return [_bd_cell(deltas, comparison.seeds, 1, "+.1f", "", 1, "").text for deltas in found]


def _bd_cell(
    deltas: Sequence[Delta], seeds: Sequence[int | None], factor: float, form: str, unit: str, range_factor: float,
    range_form: str,
) -> BdCell:  # fmt: skip
    notes = [
        f"seed {seed}: {delta.note}" if len(deltas) > 1 else delta.note
        for seed, delta in zip(seeds, deltas, strict=True)
        if delta.note
    ]
    note = "; ".join(notes)
    values = [factor * delta.value for delta in deltas if delta.value is not None]
    if not values:
        return BdCell(None, "-", "", note)
    text = f"{fmean(values):{form}}{unit}"
    ends = [factor * end for delta in deltas for end in delta.interval or ()] if len(deltas) == 1 else values
    if len(ends) > 1:
        text += f" ({min(ends):{form}} to {max(ends):{form}})"
    low = range_factor * min(delta.low for delta in deltas if delta.value is not None)
    high = range_factor * max(delta.high for delta in deltas if delta.value is not None)
    return BdCell(fmean(values), text, f"{low:{range_form}} to {high:{range_form}}", note)


class DropRow(NamedTuple):
    """What one codec loses in one task at each of the rates."""

    task: str
    name: str
    drops: list[float | None]
    """In the unit that is shown: percentage points, where the task has percent."""
    needed: list[float | None]
    """Bits per pixel that reach each of `SHARES` of the ceiling."""
    digits: int
    is_first: bool
    is_last: bool


def drops(results: Sequence[Results], at_bpp: Sequence[float] | None = None) -> tuple[list[float], list[DropRow]]:
    """Return the rates, and a row for each task and each codec; those of `AT_BPP` that a curve reaches by default.

    Seeds are averaged before.
    """
    results = merge_seeds(results)
    tasks = [task for task in list_tasks(results) if any(math.isfinite(r.ceiling_score(task)) for r in results)]
    reached = [b for b in AT_BPP if any(drop_at(r, task, b) is not None for r in results for task in tasks)]
    rates = reached if at_bpp is None else list(at_bpp)
    rows = []
    for task in tasks:
        facts = facts_of(results, task)
        for r in results:
            found = [drop_at(r, task, bpp) for bpp in rates]
            lost = [None if drop is None else facts.factor * drop for drop in found]
            needed = [bpp_for(r, task, share) if task in r.tasks else None for share in SHARES]
            ends = (r is results[0], r is results[-1])
            rows.append(DropRow(label(results, task), r.name, lost, needed, facts.digits, *ends))
    return (rates, rows) if rows else ([], [])


def label(results: Sequence[Results], quality: str) -> str:
    """Return what people call a quality, a task, or `task@network` of these results."""
    network = quality.partition("@")[2]
    name = facts_of(results, quality).label
    return f"{name} ({network})" if network else name


def lost_points(results: Sequence[Results]) -> str:
    """Return in words what drops are counted in."""
    is_percent = all(facts_of(results, task).unit == "%" for task in list_tasks(results))
    return "percentage points" if is_percent else "points (of percent, where scores are in percent)"


def in_percent(results: Sequence[Results]) -> str:
    """Return in words which task scores are shown in percent."""
    others = [label(results, task) for task in list_tasks(results) if facts_of(results, task).unit != "%"]
    return f"task scores in percent{', but ' if others else ''}{', '.join(others)}"


def setting(point: Point) -> str:
    """Return an operating point's setting in words."""
    if point.quality is not None:
        return f"q {point.quality}" + (f", {point.scale_percent} %" if point.scale_percent else "")
    return "" if point.lmbda is None else f"λ {point.lmbda:g}"
