"""BD-rate and BD-accuracy: the average difference of two codecs' curves, at equal quality and at equal rate.

G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001. BD-rate draws both curves
as log-rate over quality, and turns the mean vertical distance over the qualities that both reach into percent.
BD-accuracy (BD-PSNR there) draws them as quality over log-rate, and is the mean vertical distance over the rates that
both reach. The interpolation is Akima's, as recommended by Herglotz et al., "The Bjøntegaard Bible: Why your way of
comparing video codecs may be wrong", IEEE Trans. Image Processing, 2024 (https://arxiv.org/abs/2304.12852), whose
authors wrote the `bjontegaard` package used here. Nothing is extrapolated: where the curves share too little there is
no number but a reason.

Points that are no better than a cheaper one are flagged. BD-rate leaves them out, for a rate at equal quality asks for
a curve that increases; BD-accuracy keeps them, for leaving out what noise has lowered would flatter a curve. MPEG's
tests keep them in the BD-rate too, on a fitted cubic (`fit="mpeg"`, lic/curves/mpeg_fit.py).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import bjontegaard
import numpy as np

from lic.curves.facts import Facts
from lic.curves.mpeg_fit import MIN_FITTED, monotone_scores
from lic.curves.results import Results, check_protocols, facts_of
from lic.settings.names import FitName

MIN_POINTS = 3
"""Akima's interpolation of fewer points is a straight line."""

MIN_OVERLAP = 0.25
"""Smallest share of the shorter curve's range that both curves must reach."""

FULL_OVERLAP = 0.75
"""Below this share the note gives the overlap."""

PERCENTILES = (2.5, 97.5)
"""Ends of a BD-rate's interval."""

MAX_PERCENT_APART = 2.0
"""Percentage points between Akima's and pchip interpolation above which the note of a BD-rate gives both."""

MAX_SHARE_APART = 0.05
"""The same for BD-accuracy, as a share of the quality that the two curves span."""

LEAST_RISE = 1e-6
"""Of a fitted score; what rises less is flat but for rounding."""


class Delta(NamedTuple):
    """An average difference between two curves, and what it rests on."""

    value: float | None
    """BD-rate: percent, negative where the candidate needs fewer bits. BD-accuracy: in the quality's own unit,
    positive where the candidate is better. None where the curves cannot be compared."""
    note: str
    """Why there is no number, or what to know about it; empty if nothing."""
    low: float = math.nan
    """The range that both curves reach: of quality for the BD-rate, of bpp for BD-accuracy."""
    high: float = math.nan
    interval: tuple[float, float] | None = None
    """95 % bootstrap interval of a BD-rate over the images of a task, drawn alike for both curves; None where results
    hold no replicates. The rates are those of all images."""


class _Curve(NamedTuple):
    name: str
    bpp: list[float]
    """Strictly increasing."""
    quality: list[float]
    flagged: list[float]
    """Rates of the points that are no better than a cheaper one, or as cheap as a better one."""


def bd_rate(reference: Results, candidate: Results, quality: str, fit: FitName | None = None) -> Delta:
    """Return how many percent more (or, negative, fewer) bits the candidate needs for the same quality.

    Args:
        reference: the curve that stands for 0 %.
        candidate: the curve to compare with it, on the same dataset.
        quality: a metric, or a task (`task@network`), whose headline score is taken.
        fit: how a curve that does not rise throughout is mended, of scores in percent; there is no interval then.

    Raises:
        ValueError: the quality is unknown, or the curves follow different protocols.
    """
    check_protocols([reference, candidate])
    facts = facts_of([reference, candidate], quality)
    assert fit is None or can_fit(facts)
    sign = -1.0 if facts.is_lower_better else 1.0
    measured = [_measured(results, quality, sign) for results in (reference, candidate)]
    if fit and (why_not := next(filter(None, map(_too_short_to_fit, measured)), "")):
        return Delta(None, why_not)
    one, other = (_rising(curve, fit) for curve in measured)
    fate = "fitted" if fit else "left out of the BD-rate"
    flaws = [_flaw(curve, fate) for curve in (one, other) if curve.flagged]
    why_not = _too_short(one, quality) or _too_short(other, quality)
    if why_not:
        return Delta(None, why_not)
    share, *ends = _overlap(one.quality, other.quality)
    low, high = sorted(sign * end for end in ends)
    notes = _judge_overlap(share, f"{reference.name} and {candidate.name} reach no {quality} in common")
    if share < MIN_OVERLAP:
        return Delta(None, notes[0], low, high)
    akima, pchip = (_package(bjontegaard.bd_rate, one, other, method) for method in ("akima", "pchip"))
    if not math.isfinite(akima):
        return Delta(None, "the curves are too steep to be compared at equal quality", low, high)
    if abs(akima - pchip) > MAX_PERCENT_APART:
        notes.append(f"uncertain: {pchip:+.1f} % with pchip interpolation")
    interval = None if fit else _bd_rate_interval(reference, candidate, quality, sign)
    return Delta(akima, "; ".join(flaws + notes), low, high, interval)


def can_fit(facts: Facts) -> bool:
    """Return whether MPEG's fit is for such scores: between 0 and 100 %, higher is better."""
    return facts.unit == "%" and not facts.is_lower_better


def _bd_rate_interval(
    reference: Results, candidate: Results, quality: str, sign: float
) -> tuple[float, float] | None:
    """Return the percentile interval of the BD-rates of the drawn sets of images; None where a tenth has none."""
    pair = reference, candidate
    num_sets = min(len(point.replicates.get(quality, ())) for each in pair for point in each.points)
    rates = []
    for number in range(num_sets):
        one, other = (_increasing_part(_measured(each, quality, sign, number)) for each in pair)
        if min(len(one.bpp), len(other.bpp)) >= MIN_POINTS and _overlap(one.quality, other.quality)[0] >= MIN_OVERLAP:
            rates.append(_package(bjontegaard.bd_rate, one, other, "akima"))
    known = [rate for rate in rates if math.isfinite(rate)]
    if not known or len(known) < 0.9 * num_sets:
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)


def bd_accuracy(reference: Results, candidate: Results, quality: str) -> Delta:
    """Return how much better (or, negative, worse) the candidate is at the same rate, in the quality's own unit.

    The average is over the logarithm of the rate. Arguments and errors: as for `bd_rate`.
    """
    check_protocols([reference, candidate])
    sign = -1.0 if facts_of([reference, candidate], quality).is_lower_better else 1.0
    one, other = (_measured(results, quality, sign) for results in (reference, candidate))
    flaws = [_flaw(curve, "kept in the BD-accuracy") for curve in (one, other) if curve.flagged]
    why_not = _too_short(one, quality) or _too_short(other, quality)
    if why_not:
        return Delta(None, why_not)
    share, low, high = _overlap([math.log(bpp) for bpp in one.bpp], [math.log(bpp) for bpp in other.bpp])
    low, high = math.exp(low), math.exp(high)
    notes = _judge_overlap(share, f"{reference.name} and {candidate.name} have no rate in common")
    if share < MIN_OVERLAP:
        return Delta(None, notes[0], low, high)
    akima, pchip = (_package(bjontegaard.bd_psnr, one, other, method) for method in ("akima", "pchip"))
    span = max(one.quality + other.quality) - min(one.quality + other.quality)
    if not math.isfinite(akima):
        return Delta(None, "the curves are too steep to be compared at equal rate", low, high)
    if abs(akima - pchip) > MAX_SHARE_APART * span:
        notes.append(f"uncertain: {pchip:+.3g} with pchip interpolation, {akima:+.3g} with Akima's")
    return Delta(akima, "; ".join(flaws + notes), low, high)


def drop_at(results: Results, task: str, bpp: float) -> float | None:
    """Return how far a task's score lies below the uncompressed ceiling at a rate; None outside the measured rates.

    Between two points the score is read off the straight line over log-rate that figures draw.
    """
    curve = _measured(results, task)
    ceiling = results.ceiling_score(task)
    if not curve.bpp or not curve.bpp[0] <= bpp <= curve.bpp[-1] or not math.isfinite(ceiling):
        return None
    return ceiling - float(np.interp(math.log(bpp), np.log(curve.bpp), curve.quality))


def bpp_for(results: Results, task: str, share: float) -> float | None:
    """Return the rate at which a task's score first reaches a share of the ceiling; None if no rate measured does.

    Between two points the rate is read off the straight line over log-rate that figures draw. Where the lowest rate
    measured is already good enough, it is that one: fewer bits may do.
    """
    curve = _increasing_part(_measured(results, task))
    wanted = share * results.ceiling_score(task)
    if not curve.bpp or not math.isfinite(wanted) or curve.quality[-1] < wanted or results.tasks[task].is_lower_better:
        return None
    return math.exp(float(np.interp(wanted, curve.quality, np.log(curve.bpp))))


def _measured(results: Results, quality: str, sign: float = 1.0, number: int | None = None) -> _Curve:
    """Return the measured points by rising rate, of equal rates the best one; sign -1 where lower is better.

    With a number, the scores are those of that drawn set of images.
    """
    scores = [p.score(quality) if number is None else p.replicates[quality][number] for p in results.points]
    pairs = zip(results.points, scores, strict=True)
    measured = [(point.bpp, sign * score) for point, score in pairs if math.isfinite(score)]
    curve = _Curve(results.name, [], [], [])
    best = -math.inf
    for bpp, value in sorted(measured, key=lambda pair: (pair[0], -pair[1])):
        if value <= best:
            curve.flagged.append(bpp)
        best = max(best, value)
        if not curve.bpp or bpp > curve.bpp[-1]:
            curve.bpp.append(bpp)
            curve.quality.append(value)
    return curve


def _increasing_part(curve: _Curve) -> _Curve:
    """Return the points that are better than every cheaper one."""
    kept = [i for i, value in enumerate(curve.quality) if i == 0 or value > max(curve.quality[:i])]
    return curve._replace(bpp=[curve.bpp[i] for i in kept], quality=[curve.quality[i] for i in kept])


def _rising(curve: _Curve, fit: FitName | None) -> _Curve:
    """Return a curve that rises: without the points that are no better than a cheaper one, or with them fitted."""
    is_rising = all(a < b for a, b in zip(curve.quality, curve.quality[1:], strict=False))
    if fit is None or is_rising or len(curve.bpp) < MIN_FITTED:
        return _increasing_part(curve)
    scores = [score / 100 for score in monotone_scores(curve.bpp, [100 * score for score in curve.quality])]
    kept = [0]
    for i, score in enumerate(scores):
        if score > scores[kept[-1]] + LEAST_RISE:
            kept.append(i)
    return curve._replace(bpp=[curve.bpp[i] for i in kept], quality=[scores[i] for i in kept])


def _too_short_to_fit(curve: _Curve) -> str:
    """Return why MPEG's fit cannot mend a curve; empty if it can, or need not."""
    needs_it = len(_increasing_part(curve).bpp) < len(curve.bpp) < MIN_FITTED
    return f"{curve.name} has {len(curve.bpp)} of the {MIN_FITTED} points that MPEG's fit needs" if needs_it else ""


def _flaw(curve: _Curve, fate: str) -> str:
    listed = ", ".join(f"{bpp:.3g}" for bpp in curve.flagged)
    return f"{curve.name}: no better than a cheaper point at {listed} bpp, {fate}"


def _too_short(curve: _Curve, quality: str) -> str:
    """Return why a curve cannot be compared; empty if it can."""
    if not curve.bpp:
        return f"{curve.name} has no measured {quality}"
    if len(curve.bpp) < MIN_POINTS:
        kind = f"points that increase in {quality}" if curve.flagged else "points"
        return f"{curve.name} has {len(curve.bpp)} of the {MIN_POINTS} {kind} that are needed"
    return ""


def _overlap(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Return the common range as a share of the shorter one, in [0, 1], and its ends."""
    ranges = [(min(values), max(values)) for values in (one, other)]
    low, high = max(ends[0] for ends in ranges), min(ends[1] for ends in ranges)
    return max(0.0, high - low) / min(ends[1] - ends[0] for ends in ranges), low, high


def _judge_overlap(share: float, none_at_all: str) -> list[str]:
    if share == 0:
        return [none_at_all]
    if share < MIN_OVERLAP:
        return [f"the curves share {share:.0%} of the shorter one's range, {MIN_OVERLAP:.0%} are needed"]
    if share < FULL_OVERLAP:
        return [f"over the {share:.0%} of the shorter curve's range that both reach"]
    return []


def _package(function: object, one: _Curve, other: _Curve, method: str) -> float:
    """Return the package's number; infinite or NaN where a curve is too steep for numbers."""
    assert callable(function)
    points = (one.bpp, one.quality, other.bpp, other.quality)
    with np.errstate(all="ignore"):
        # `min_overlap` would warn; the overlap has been judged already, against the shorter curve and not the union.
        return float(function(*points, method=method, require_matching_points=False, min_overlap=0))
