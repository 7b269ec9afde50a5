"""ML-CLIPSim's weights from votes: a logistic regression without intercept whose coefficients are not negative.

    P(first preferred) = sigmoid((S_first - S_second) / tau) = sigmoid(sum_l v_l (d_second,l - d_first,l)),  v = w / tau

With S = 1 - sum_l w_l d_l, w >= 0 and sum w = 1, weights and temperature are v, once each: the cross entropy with the
share of votes is convex in v >= 0, so that its minimum does not hang on a start or a seed. Similarity and soft labels
are those of arXiv 2605.09479; how the paper fits its weights was not available to us.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Array = NDArray[np.float64]


class Weights(NamedTuple):
    """Weights, none negative, of sum 1, one per part; and the temperature."""

    weights: Array
    temperature: float


def fit_weights(differences: Array, labels: Array, parts: Sequence[int] | None = None) -> Weights:
    """Return the weights and temperature of the least cross entropy.

    Where the votes go against every part, nothing beats a coin: equal weights, of infinite temperature.

    Args:
        differences: (P, L), distance of the second image minus that of the first, by part.
        labels: (P,), share of votes for the first, in [0, 1].
        parts: those that may have weight; default all.
    """
    chosen = list(range(differences.shape[1])) if parts is None else list(parts)
    scale = np.sqrt(np.square(differences[:, chosen]).mean(0)) + 1e-12  # so that one step size suits all
    scaled = differences[:, chosen] / scale
    start = np.full(len(chosen), 1 / len(chosen))
    bounds = [(0, None)] * len(chosen)
    found = minimize(_loss_and_gradient, start, (scaled, labels), "L-BFGS-B", jac=True, bounds=bounds)
    coefficients = np.zeros(differences.shape[1])
    coefficients[chosen] = found.x / scale
    total = float(coefficients.sum())
    if total == 0:
        coefficients[chosen] = 1 / len(chosen)
        return Weights(coefficients, math.inf)
    return Weights(coefficients / total, 1 / total)


def fit_temperature(differences: Array, labels: Array, weights: Array) -> Weights:
    """Return given weights with the temperature of the least cross entropy."""
    fitted = fit_weights((differences @ weights)[:, None], labels)
    return Weights(weights, fitted.temperature)


def cross_entropy(differences: Array, labels: Array, fitted: Weights) -> float:
    """Return the mean cross entropy, in nats, of the labels under the fitted preferences."""
    return _loss_and_gradient(fitted.weights / fitted.temperature, differences, labels)[0]


def accuracy(differences: Array, labels: Array, weights: Array) -> float:
    """Return the share of votes that the metric agrees with, in [0, 1] (2AFC; equal scores count half)."""
    difference = differences @ weights
    choice = np.where(difference > 0, 1.0, np.where(difference < 0, 0.0, 0.5))
    return float((choice * labels + (1 - choice) * (1 - labels)).mean())


def _loss_and_gradient(coefficients: Array, differences: Array, labels: Array) -> tuple[float, Array]:
    logits = differences @ coefficients
    loss = np.logaddexp(0, logits) - labels * logits
    return float(loss.mean()), differences.T @ (expit(logits) - labels) / len(labels)
