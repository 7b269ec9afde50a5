"""BD-rate: the average difference in rate between two codecs at equal quality.

G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001. Both curves are drawn as
log-rate over quality, and the mean vertical distance over the qualities that both reach is turned into percent. The
interpolation is Akima's, as recommended by Herglotz et al., "The Bjøntegaard Bible: Why your way of comparing video
codecs may be wrong", IEEE Trans. Image Processing, 2024 (https://arxiv.org/abs/2304.12852), whose authors wrote the
`bjontegaard` package used here.
"""

import math
from typing import NamedTuple

import bjontegaard
import numpy as np

from lic.curves.results import Results

MIN_POINTS = 3
"""Akima's interpolation of fewer points is a straight line."""

MIN_OVERLAP = 0.25
"""Smallest share of the shorter curve's quality range that both curves must reach."""

FULL_OVERLAP = 0.75
"""Below this share the note gives the overlap."""

MAX_DISAGREEMENT = 2.0
"""Percentage points between Akima and pchip interpolation above which the note gives both."""


class BdRate(NamedTuple):
    """Average rate difference at equal quality."""

    percent: float | None
    """Negative where the candidate needs fewer bits; None where the curves cannot be compared."""
    note: str
    """Why there is no number, or what to know about it; empty if nothing."""


class _Curve(NamedTuple):
    bpp: list[float]
    """Strictly increasing, as `quality`."""
    quality: list[float]
    num_dropped: int
    """Points that cost more than another one, or as much, without being better."""


def bd_rate(reference: Results, candidate: Results, quality: str) -> BdRate:
    """Return how many percent more (or, negative, fewer) bits the candidate needs for the same quality.

    Nothing is extrapolated: only the qualities that both curves reach count, and where these are too few there is no
    number but a reason. Of a curve that is not increasing, only the points that no cheaper point equals are used.

    Args:
        reference: the curve that stands for 0 %.
        candidate: the curve to compare with it, on the same dataset.
        quality: `psnr_db`, `ms_ssim`, `mlclipsim`, or a task, whose headline score is taken; higher is better.

    Raises:
        ValueError: the quality is unknown.
    """
    notes: list[str] = []
    curves: list[_Curve] = []
    for results in (reference, candidate):
        curve = _increasing_part(results, quality)
        if not curve.bpp:
            return BdRate(None, f"{results.name} has no measured {quality}")
        if len(curve.bpp) < MIN_POINTS:
            kind = f"points that increase in {quality}" if curve.num_dropped else "points"
            return BdRate(None, f"{results.name} has {len(curve.bpp)} of the {MIN_POINTS} {kind} that are needed")
        if curve.num_dropped:
            notes.append(f"{results.name}: {curve.num_dropped} points left out, no better than a cheaper one")
        curves.append(curve)
    overlap = _overlap(curves[0], curves[1])
    if overlap == 0:
        return BdRate(None, f"{reference.name} and {candidate.name} reach no {quality} in common")
    if overlap < MIN_OVERLAP:
        return BdRate(None, f"the curves share {overlap:.0%} of the shorter one's range, {MIN_OVERLAP:.0%} are needed")
    if overlap < FULL_OVERLAP:
        notes.append(f"over the {overlap:.0%} of the shorter curve's range that both reach")
    akima, pchip = (_average(curves[0], curves[1], method) for method in ("akima", "pchip"))
    if not math.isfinite(akima):
        return BdRate(None, "the curves are too steep to be compared at equal quality")
    if abs(akima - pchip) > MAX_DISAGREEMENT:
        notes.append(f"uncertain: {pchip:+.1f} % with pchip interpolation")
    return BdRate(akima, "; ".join(notes))


def _increasing_part(results: Results, quality: str) -> _Curve:
    """Return the points that are better than every cheaper point, by rising rate."""
    measured = [(p.bpp, p.score(quality)) for p in results.points if math.isfinite(p.score(quality))]
    curve = _Curve([], [], 0)
    for bpp, value in sorted(measured, key=lambda pair: (pair[0], -pair[1])):
        if not curve.quality or value > curve.quality[-1]:
            curve.bpp.append(bpp)
            curve.quality.append(value)
    return curve._replace(num_dropped=len(measured) - len(curve.bpp))


def _overlap(reference: _Curve, candidate: _Curve) -> float:
    """Return the common quality range as a share of the shorter curve's, in [0, 1]."""
    low = max(reference.quality[0], candidate.quality[0])
    high = min(reference.quality[-1], candidate.quality[-1])
    shorter = min(curve.quality[-1] - curve.quality[0] for curve in (reference, candidate))
    return max(0.0, high - low) / shorter


def _average(reference: _Curve, candidate: _Curve, method: str) -> float:
    """Return the BD-rate in percent; infinite or NaN where a curve is too steep for numbers."""
    points = (reference.bpp, reference.quality, candidate.bpp, candidate.quality)
    with np.errstate(all="ignore"):
        # `min_overlap` would warn; the overlap has been judged already, against the shorter curve and not the union.
        return float(bjontegaard.bd_rate(*points, method=method, require_matching_points=False, min_overlap=0))
