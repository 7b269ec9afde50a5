"""A monotone cubic through scores that do not rise with the rate, as MPEG's tests of coding for machines fit it.

H. Wang et al., "Improvements of the BD-Rate Metrics Using Monotonic Curve-Fitting Methods", PCS 2024
(https://doi.org/10.1109/PCS60826.2024.10566370). Of all cubics in the logarithm of the rate that at the points neither
fall nor bend upwards, and whose ends lie in 0 .. 100, it is the one with the least squared error; at the points its
values replace the scores. CompressAI-Vision does so with curves that do not strictly increase, and with no others
(scripts/metrics/curve_fitting.py, of which nothing is copied). Beyond rounding the outcome depends neither on the unit
of the rate nor on where the search begins: the problem is convex.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

MIN_FITTED = 4
"""Points that determine a cubic."""

HIGHEST = 100.0
"""Of scores, in percent."""


def monotone_scores(bpp: Sequence[float], percent: Sequence[float]) -> list[float]:
    """Return the fitted scores at the rates.

    Args:
        bpp: at least four rates, strictly increasing.
        percent: their scores, in 0 .. 100.
    """
    log_rate, wanted = np.log(bpp), np.asarray(percent) / HIGHEST
    place = 2 * (log_rate - log_rate[0]) / (log_rate[-1] - log_rate[0]) - 1  # well conditioned
    zero, one = np.zeros_like(place), np.ones_like(place)
    values = np.stack([place**3, place**2, place, one], 1)
    slopes = np.stack([3 * place**2, 2 * place, one, zero], 1)
    bends = np.stack([6 * place, 2 * one, zero, zero], 1)
    rows = np.concatenate([slopes, -bends, values[:1], -values[-1:]])
    least = np.zeros(len(rows))
    least[-1] = -1  # the end is at most 100 %
    found = minimize(
        lambda cubic: np.sum((values @ cubic - wanted) ** 2),
        x0=np.array([0, 0, 0, np.clip(wanted.mean(), 0, 1)]),
        jac=lambda cubic: 2 * values.T @ (values @ cubic - wanted),
        constraints={"type": "ineq", "fun": lambda cubic: rows @ cubic - least, "jac": lambda _: rows},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    return [float(value) for value in HIGHEST * (values @ found.x)]
