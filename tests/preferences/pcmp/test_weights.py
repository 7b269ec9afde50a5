"""Weights from votes: known ones are found again, the optimum is the optimum, and scores count as they should."""

import numpy as np
import pytest
from scipy.special import expit

from lic.preferences.pcmp.fit import Weights, accuracy, cross_entropy, fit_temperature, fit_weights

TRUE = Weights(np.array([0.5, 0.3, 0.0, 0.2]), 0.05)


def drawn(num_pairs: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Differences of very unlike sizes, and the preferences that TRUE gives them."""
    differences = np.random.default_rng(0).normal(size=(num_pairs, 4)) * [0.1, 0.01, 0.3, 0.05]
    return differences, expit(differences @ TRUE.weights / TRUE.temperature)


def test_known_weights_are_found_again() -> None:
    fitted = fit_weights(*drawn())
    assert fitted.weights == pytest.approx(TRUE.weights, abs=5e-3)
    assert fitted.temperature == pytest.approx(TRUE.temperature, rel=0.01)
    assert fitted.weights.sum() == pytest.approx(1) and fitted.weights.min() >= 0


def test_noisy_votes_give_nearly_the_same() -> None:
    differences, shares = drawn(20_000)
    votes = np.random.default_rng(1).binomial(5, shares) / 5
    assert fit_weights(differences, votes).weights == pytest.approx(TRUE.weights, abs=0.03)


def test_nothing_near_the_optimum_is_better() -> None:
    differences, shares = drawn(500)
    labels = (shares > 0.4).astype(float)
    fitted = fit_weights(differences, labels)
    best = cross_entropy(differences, labels, fitted)
    rng = np.random.default_rng(2)
    for _ in range(50):
        weights = np.abs(fitted.weights + 0.02 * rng.normal(size=4))
        other = Weights(weights / weights.sum(), fitted.temperature * float(np.exp(0.05 * rng.normal())))
        assert cross_entropy(differences, labels, other) >= best - 1e-6


def test_a_part_that_misleads_gets_no_weight() -> None:
    differences, shares = drawn()
    differences[:, 2] = -differences[:, 0]
    assert fit_weights(differences, shares).weights[2] < 0.01


def test_parts_left_out_have_no_weight() -> None:
    fitted = fit_weights(*drawn(), parts=[1, 3])
    assert fitted.weights[[0, 2]].tolist() == [0, 0] and fitted.weights.sum() == pytest.approx(1)


def test_temperature_alone() -> None:
    differences, shares = drawn()
    assert fit_temperature(differences, shares, TRUE.weights).temperature == pytest.approx(0.05, rel=1e-3)


def test_votes_against_every_part_leave_a_coin() -> None:
    differences, shares = drawn()
    fitted = fit_weights(differences, 1 - shares, parts=[0, 1])
    assert fitted.weights.tolist() == [0.5, 0.5, 0, 0] and fitted.temperature == np.inf
    assert cross_entropy(differences, shares, fitted) == pytest.approx(np.log(2))


def test_cross_entropy_and_accuracy_by_hand() -> None:
    differences, labels = np.array([[0.2], [-0.1], [0.0]]), np.array([0.75, 0.5, 1.0])
    fitted = Weights(np.ones(1), 0.1)
    p = expit(np.array([2.0, -1.0, 0.0]))
    by_hand = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    assert cross_entropy(differences, labels, fitted) == pytest.approx(by_hand)
    assert accuracy(differences, labels, fitted.weights) == pytest.approx((0.75 + 0.5 + 0.5) / 3)
