"""The bootstrap over references, against resampling by hand; its coverage; Holm."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from lic.preferences.benchmark.bootstrap import (
    draw_weights,
    holm,
    interval,
    paired_difference,
    resample_krcc,
    resample_mean,
    resample_plcc,
    resample_srcc,
)


@pytest.mark.parametrize(
    ("resample", "direct"),
    [(resample_srcc, stats.spearmanr), (resample_krcc, stats.kendalltau), (resample_plcc, stats.pearsonr)],
)
def test_resampled_correlations_are_those_of_the_repeated_images(resample: Callable, direct: Callable) -> None:
    generator = np.random.default_rng(0)
    reference = generator.integers(0, 12, 150)
    x = generator.normal(size=150).round(1)  # with ties
    y = (x + generator.normal(size=150)).round(1)
    weights = draw_weights(12, 20)
    found = resample(x, y, reference, weights)
    for value, drawn in zip(found, weights, strict=True):
        repeated = np.repeat(np.arange(150), drawn[reference])
        assert value == pytest.approx(direct(x[repeated], y[repeated])[0], abs=1e-9)


def test_resampled_mean_leaves_nan_out() -> None:
    credit, reference = np.array([1.0, 0, np.nan, 1, 0.5]), np.array([0, 0, 1, 1, 2])
    weights = np.array([[1, 1, 1], [0, 3, 0], [2, 0, 1]], np.int16)
    np.testing.assert_allclose(resample_mean(credit, reference, weights), [2.5 / 4, 1, (2 + 0.5) / 5])


def test_a_resample_without_spread_has_no_correlation() -> None:
    x, y, reference = np.array([1.0, 2, 3]), np.array([1.0, 2, 4]), np.array([0, 1, 2])
    weights = np.array([[3, 0, 0], [1, 1, 1]], np.int16)
    for resample in (resample_srcc, resample_krcc, resample_plcc):
        found = resample(x, y, reference, weights)
        assert np.isnan(found[0]) and found[1] > 0.9
    assert interval(np.array([np.nan, np.nan])) is None


def test_draws_are_seeded_and_whole() -> None:
    weights = draw_weights(40, 300)
    assert (weights.sum(1) == 40).all() and weights.shape == (300, 40)
    np.testing.assert_array_equal(weights, draw_weights(40, 300))


def test_intervals_cover_the_true_value() -> None:
    """Images of one reference share an offset: an interval that took them for independent would be far too narrow."""
    generator = np.random.default_rng(3)
    reference = np.repeat(np.arange(40), 8)
    weights = draw_weights(40, 300)
    covered = narrow = 0
    for _ in range(150):
        credit = generator.normal(size=40)[reference] + 0.3 * generator.normal(size=320)
        low, high = interval(resample_mean(credit, reference, weights)) or (0, 0)
        covered += low < 0 < high
        narrow += abs(credit.mean()) < 1.96 * credit.std() / np.sqrt(320)
    assert 0.88 < covered / 150 < 0.99
    assert narrow / 150 < 0.65


def test_the_paired_test_keeps_its_level_and_finds_a_difference() -> None:
    generator = np.random.default_rng(4)
    reference = np.arange(50)
    weights = draw_weights(50, 300)

    def p_value(gap: float) -> float:
        common = generator.normal(size=50)
        a, b = (common + 0.5 * generator.normal(size=50) + shift for shift in (gap, 0))
        drawn = [resample_mean(each, reference, weights) for each in (a, b)]
        return paired_difference(a.mean(), b.mean(), drawn[0], drawn[1], 50).p

    assert sum(p_value(0) < 0.05 for _ in range(200)) <= 20
    assert sum(p_value(0.4) < 0.05 for _ in range(50)) > 40  # unpaired it would drown: the common part's deviation is 1


def test_many_pairs_can_still_be_significant() -> None:
    generator = np.random.default_rng(5)
    drawn = generator.normal(0.8, 0.01, 1000), generator.normal(0.5, 0.01, 1000)
    found = paired_difference(0.8, 0.5, *drawn, 100)
    assert holm([found.p] * 66)[0] < 1e-6
    assert 0.25 < found.low < 0.3 < found.high < 0.35


def test_equal_metrics_do_not_differ() -> None:
    drawn = np.random.default_rng(0).normal(size=100)
    assert paired_difference(0.3, 0.3, drawn, drawn, 30).p == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []
