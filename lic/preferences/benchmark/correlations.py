"""How well scores follow opinions: rank and linear correlations, the latter raw and after a logistic fit.

Both logistics are the ones that the field uses, fitted by least squares (Levenberg-Marquardt):

    4 parameters (VQEG, FR-TV phase I):       f(x) = b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|))
    5 parameters (Sheikh et al. 2006, TIP):   f(x) = b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5

Protocol: scores get the sign of their SRCC, so that they rise with opinions, and are standardised; the fits start at
[max y, min y, 0, 1/4] and at the same slope in the other form, [max y - min y, 4, 0, 0, 0], with at most 20000
evaluations. A correlation after a fit has no sign therefore: read it beside the SRCC. A fit that does not converge, or
that ends worse than the straight line which the second form contains, is a failure with its reason, never a fallback.

How often a metric prefers what voters prefer, pair by pair.

Every function returns the credit of each pair, (n,), in [0, 1], so that a mean over any of them is an accuracy.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

Array = NDArray[np.float64]

Form = Callable[..., Array]

MAX_EVALUATIONS = 20000


class Fit(NamedTuple):
    """A linear correlation after a logistic fit.

    Attributes:
        plcc: None if the fit failed.
        reason: why it failed.
        mapped: the scores after the fit, (n,).
    """

    plcc: float | None
    reason: str | None = None
    mapped: Array | None = None


class Correlations(NamedTuple):
    """All correlations of n scores with opinions; tau is tau-b."""

    n: int
    srcc: float
    krcc: float
    plcc: float
    logistic4: Fit
    logistic5: Fit


def correlate(prediction: ArrayLike, opinion: ArrayLike) -> Correlations:
    """Return all correlations.

    Args:
        prediction, opinion: (n,).

    Raises:
        ValueError: in one line: lengths differ, fewer than two, a value that is no number, or all values alike.
    """
    x, y = check_scores(prediction, "prediction"), check_scores(opinion, "opinion")
    if len(x) != len(y):
        raise ValueError(f"as many predictions as opinions are needed, got {len(x)} and {len(y)}")
    return Correlations(len(x), srcc(x, y), krcc(x, y), plcc(x, y), logistic_fit(x, y, 4), logistic_fit(x, y, 5))


def check_scores(values: ArrayLike, what: str) -> Array:
    """Return the values as (n,) of float64 that can be correlated; ValueError says in one line why they cannot."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or len(scores) < 2:
        raise ValueError(f"{what}: a correlation needs a list of two values or more, got shape {scores.shape}")
    unusable = np.flatnonzero(~np.isfinite(scores))
    if len(unusable):
        first = unusable[0]
        raise ValueError(f"{what}: {len(unusable)} of {len(scores)} values are not finite, the first ({scores[first]}) "
                         f"at position {first + 1}")
    if (scores == scores[0]).all():
        raise ValueError(f"{what}: all {len(scores)} values are {scores[0]:g}, so that no correlation is defined")
    return scores


def srcc(prediction: Array, opinion: Array) -> float:
    """Return Spearman's rank correlation, in [-1, 1]; tied values share their mean rank."""
    return float(stats.spearmanr(prediction, opinion).statistic)


def krcc(prediction: Array, opinion: Array) -> float:
    """Return Kendall's tau-b, in [-1, 1], which corrects for ties."""
    return float(stats.kendalltau(prediction, opinion).statistic)


def plcc(prediction: Array, opinion: Array) -> float:
    """Return Pearson's linear correlation, in [-1, 1], of the scores as they are."""
    return float(np.clip(np.corrcoef(_standardise(prediction), _standardise(opinion))[0, 1], -1, 1))


def logistic4(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    """Return VQEG's logistic of four parameters; see the head of this file."""
    value: Array = b2 + (b1 - b2) * expit((x - b3) / max(abs(b4), 1e-12))
    return value


def logistic5(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    """Return the logistic of five parameters; see the head of this file."""
    value: Array = b1 * (0.5 - expit(-b2 * (x - b3))) + b4 * x + b5
    return value


def _slopes4(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    width = max(abs(b4), 1e-12)
    z = (x - b3) / width
    s = expit(z)
    rise = (b1 - b2) * s * (1 - s) / width
    return np.stack([s, 1 - s, -rise, -rise * z * np.sign(b4)], 1)


def _slopes5(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    s = expit(-b2 * (x - b3))
    rise = b1 * s * (1 - s)
    return np.stack([0.5 - s, rise * (x - b3), -rise * b2, x, np.ones_like(x)], 1)


def logistic_fit(prediction: Array, opinion: Array, num_parameters: int) -> Fit:
    """Return the linear correlation after fitting a logistic of 4 or 5 parameters to the opinions.

    Args:
        prediction, opinion: (n,), finite and not constant (`check_scores`).
        num_parameters: 4 or 5.
    """
    if len(prediction) <= num_parameters:
        return Fit(None, f"{len(prediction)} values cannot fit {num_parameters} parameters")
    x, y = _standardise(prediction), _standardise(opinion)
    if srcc(x, y) < 0:
        x = -x
    forms: dict[int, tuple[Form, Form, list[float]]] = {
        4: (logistic4, _slopes4, [y.max(), y.min(), 0, 0.25]),
        5: (logistic5, _slopes5, [y.max() - y.min(), 4, 0, 0, 0]),
    }
    form, slopes, start = forms[num_parameters]
    try:
        with np.errstate(all="ignore"):
            parameters = _minimise(form, slopes, x, y, start)
            mapped = form(x, *parameters)
    except RuntimeError as error:
        return Fit(None, " ".join(str(error).split()))
    return _judge(mapped, x, y, contains_line=num_parameters == 5)


def _minimise(form: Form, slopes: Form, x: Array, y: Array, start: list[float]) -> Any:
    """Return the parameters of the least squares; RuntimeError if they are not found. Their covariance is not used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # "covariance could not be estimated"
        return curve_fit(form, x, y, start, jac=slopes, maxfev=MAX_EVALUATIONS)[0]


def _judge(mapped: Array, x: Array, y: Array, contains_line: bool) -> Fit:
    """Return the correlation of fitted scores, or why the fit is none."""
    if not np.isfinite(mapped).all():
        return Fit(None, "the fit ran off to infinity")
    if np.ptp(mapped) < 1e-9:
        return Fit(None, "the fit is constant")
    linear = abs(plcc(x, y))
    fitted = plcc(mapped, y)
    if contains_line and fitted < linear - 1e-4:
        return Fit(None, f"the fit ended in a local minimum: {fitted:.4f}, where a straight line gives {linear:.4f}")
    return Fit(fitted, None, mapped)


def _standardise(values: Array) -> Array:
    """Return values of mean 0 and standard deviation 1; opinions too, so that no set's scale decides a fit."""
    scaled = values / np.abs(values).max()  # squares of very large or small scores would leave the range of floats
    standard: Array = (scaled - scaled.mean()) / scaled.std()
    return standard


def soft_credits(first: Array, second: Array, preference: Array) -> Array:
    """Return the share of voters on the metric's side: the two-alternative forced choice score (2AFC) of each pair.

    mean((d0 < d1) (1 - j) + (d1 < d0) j + (d0 == d1) / 2) of Zhang et al. 2018 (LPIPS) with d0 = -first, d1 = -second
    and j = 1 - preference.

    Args:
        first, second: the metric's values, (n,), higher is better.
        preference: share of voters that prefer the first, (n,).
    """
    return np.where(first > second, preference, np.where(first < second, 1 - preference, 0.5))


def hard_credits(first: Array, second: Array, preference: Array) -> Array:
    """Return 1 where the metric sides with the majority, 0 where not, 1/2 where it gives both the same value.

    NaN where the voters are divided equally: such a pair has no majority and is left out.

    Args:
        first, second, preference: as for `soft_credits`.
    """
    credit = soft_credits(first, second, (preference > 0.5).astype(np.float64))
    return np.where(preference == 0.5, np.nan, credit)


def soft_bound(preference: Array) -> Array:
    """Return the most that soft credits can be: who always sides with the majority gets its share."""
    return np.maximum(preference, 1 - preference)
