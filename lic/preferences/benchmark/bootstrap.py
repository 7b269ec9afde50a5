"""Bootstrap over references: intervals of correlations and accuracies, and whether two metrics differ.

Distorted images of one reference are not independent, so references are drawn, with replacement, as many as there are
(Efron and Tibshirani 1993, chapters 8 and 13). A draw is a weight: how often each reference was taken. All metrics see
the same draws, which makes their differences paired. A draw holds fewer different references than the set, which lie
less far apart, so that correlations over all of them can come out a little higher: with five references the interval
of a correlation may even miss it; on TID2013, LIVE and PIPAL (25, 29 and 200) it moves by less than 5 % of its width.

Nothing is drawn image by image: ranks, and Kendall's sums over pairs of images, follow from the weights exactly as if
every image stood there as often as it was drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

PERCENTILES = (2.5, 97.5)
SEED = 0
_CHUNK = 4_000_000
"""Numbers held at once, of resamples times images."""


def draw_weights(num_references: int, resamples: int) -> NDArray[np.int16]:
    """Return how often each reference is drawn, (resamples, references); rows sum to the number of references."""
    generator = np.random.default_rng(SEED)
    shares = np.full(num_references, 1 / num_references)
    step = max(1, _CHUNK // num_references)
    parts = [generator.multinomial(num_references, shares, min(step, resamples - start)).astype(np.int16)
             for start in range(0, resamples, step)]  # fmt: skip
    return np.concatenate(parts)


def interval(values: Array) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of resampled scores, (resamples,); None if there is none."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)


def resample_mean(credit: Array, reference: Indices, weights: NDArray[np.int16]) -> Array:
    """Return the mean of each resample, (resamples,).

    Args:
        credit: (n,); NaN is left out.
        reference: which one each value belongs to, (n,).
        weights: what `draw_weights` returned.
    """
    num_references = weights.shape[1]
    is_known = ~np.isnan(credit)
    sums = np.bincount(reference[is_known], credit[is_known], num_references)
    counts = np.bincount(reference[is_known], minlength=num_references)
    with np.errstate(invalid="ignore"):
        mean: Array = (weights @ sums) / (weights @ counts)
    return mean


def resample_plcc(x: Array, y: Array, reference: Indices, weights: NDArray[np.int16]) -> Array:
    """Return Pearson's correlation in each resample, (resamples,); arguments as for `resample_mean`."""
    x, y = x - x.mean(), y - y.mean()  # sums of squares of values around 0 lose no digits
    num_references = weights.shape[1]
    sums = [np.bincount(reference, values, num_references) for values in (np.ones_like(x), x, y, x * x, y * y, x * y)]
    n, sx, sy, sxx, syy, sxy = (weights @ each for each in sums)
    return _correlation(sxy - sx * sy / n, sxx - sx * sx / n, syy - sy * sy / n)


def resample_srcc(x: Array, y: Array, reference: Indices, weights: NDArray[np.int16]) -> Array:
    """Return Spearman's correlation in each resample, (resamples,); arguments as for `resample_mean`."""
    step = max(1, _CHUNK // len(x))
    parts = []
    for start in range(0, len(weights), step):
        counts = weights[start : start + step, reference].astype(np.float64)
        a, b = _centred_ranks(x, counts), _centred_ranks(y, counts)
        parts.append(_correlation(*((counts * left * right).sum(1) for left, right in ((a, b), (a, a), (b, b)))))
    return np.concatenate(parts)


def _centred_ranks(values: Array, counts: Array) -> Array:
    """Return the rank of each value minus the mean rank, (resamples, n), if it stood there as often as counted."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) != 0])
    together = np.add.reduceat(counts[:, order], starts, axis=1)  # equal values share their mean rank
    middle = np.cumsum(together, axis=1) - (together - 1) / 2
    group = np.empty(len(values), np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    ranks: Array = middle[:, group] - (counts.sum(1, keepdims=True) + 1) / 2
    return ranks


def resample_krcc(x: Array, y: Array, reference: Indices, weights: NDArray[np.int16]) -> Array:
    """Return Kendall's tau-b in each resample, (resamples,); arguments as for `resample_mean`.

    Its three sums over pairs of images are sums over pairs of references of block sums, times both weights.
    """
    order = np.argsort(reference, kind="stable")
    a, b = (np.unique(values, return_inverse=True)[1].astype(np.int32)[order] for values in (x, y))
    present, starts = np.unique(reference[order], return_index=True)
    ends = np.r_[starts[1:], len(x)]
    blocks = np.zeros((3, len(present), len(present)))
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        dx = np.sign(a[start:end, None] - a[None]).astype(np.int8)
        dy = np.sign(b[start:end, None] - b[None]).astype(np.int8)
        for kind, product in enumerate((dx * dy, dx * dx, dy * dy)):
            blocks[kind, row] = np.add.reduceat(product.sum(0, dtype=np.int64), starts)
    drawn = weights[:, present].astype(np.float64)
    return _correlation(*(((drawn @ block) * drawn).sum(1) for block in blocks))


def _correlation(covariance: Array, variance_x: Array, variance_y: Array) -> Array:
    """Return covariance over the root of both variances; NaN where a variance is 0: a resample of equal values."""
    product = np.maximum(variance_x, 0) * np.maximum(variance_y, 0)
    defined = product > 1e-20 * max(float(np.nanmax(product, initial=0)), 1e-300)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(defined, np.clip(covariance / np.sqrt(product), -1, 1), np.nan)


class Difference(NamedTuple):
    """How much the score of one metric exceeds another's on the same images.

    Attributes:
        difference: of the two scores.
        low, high: its 95 % percentile interval.
        p: two-sided, of no difference.
        p_holm: p corrected for all pairs of metrics that were compared.
    """

    difference: float
    low: float
    high: float
    p: float
    p_holm: float = np.nan


def paired_difference(first: float, second: float, first_drawn: Array, second_drawn: Array, count: int) -> Difference:
    """Return the difference of two scores and its significance.

    p is Student's, of the difference over its bootstrap standard error, with references - 1 degrees of freedom. The
    share of resamples on the other side of 0 would be a p too, but of a thousand resamples none is below 0.002, and no
    correction for dozens of pairs of metrics would leave anything significant.

    Args:
        first, second: the scores.
        first_drawn, second_drawn: the same in each resample, (resamples,), of the same draws.
        count: of references.
    """
    drawn = first_drawn - second_drawn
    ends = interval(drawn) or (np.nan, np.nan)
    error = float(np.nanstd(drawn, ddof=1)) if not np.isnan(ends[0]) else np.nan
    difference = first - second
    if error == 0:
        p = 1.0 if difference == 0 else 0.0
    else:
        p = float(2 * stats.t.sf(abs(difference) / error, max(count - 1, 1)))
    return Difference(difference, *ends, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979): the k-th smallest of m times m - k + 1, kept monotone."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
