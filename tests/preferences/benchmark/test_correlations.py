"""Correlations and logistic fits, against scipy, known logistics, and failures."""

import numpy as np
import pytest
from scipy import stats

from lic.preferences.benchmark.correlations import (
    check_scores,
    correlate,
    hard_credits,
    logistic4,
    logistic5,
    logistic_fit,
    soft_bound,
    soft_credits,
)


def _scores(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    opinion = generator.uniform(1, 9, count).round(1)  # with ties
    return (20 + 3 * opinion + generator.normal(0, 3, count)).round(), opinion


def test_against_scipy() -> None:
    prediction, opinion = _scores()
    found = correlate(prediction, opinion)
    assert found.n == 400
    assert found.srcc == pytest.approx(stats.spearmanr(prediction, opinion)[0], abs=1e-12)
    assert found.krcc == pytest.approx(stats.kendalltau(prediction, opinion, variant="b")[0], abs=1e-12)
    assert found.plcc == pytest.approx(stats.pearsonr(prediction, opinion)[0], abs=1e-12)


def test_by_hand() -> None:
    found = correlate([1, 2, 3, 4], [1, 3, 2, 4])
    assert found.srcc == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.krcc == pytest.approx((5 - 1) / 6)
    assert found.plcc == pytest.approx(0.8)


@pytest.mark.parametrize("sign", [1, -1])
def test_logistic_data_are_fitted_exactly(sign: int) -> None:
    x = np.linspace(-2, 3, 60)
    fit4 = logistic_fit(sign * 1e-3 * x + 7, logistic4(x, 9, 1, 0.4, 0.7), 4)
    fit5 = logistic_fit(sign * 1e-3 * x + 7, logistic5(x, 4, 2, 0.4, 0.3, 5), 5)
    assert fit4.plcc == pytest.approx(1, abs=1e-9) and fit4.reason is None
    assert fit5.plcc == pytest.approx(1, abs=1e-9) and fit5.reason is None


def test_a_fit_lifts_a_curved_relation() -> None:
    generator = np.random.default_rng(1)
    opinion = generator.uniform(0, 10, 500)
    prediction = 1 / (1 + np.exp(-(opinion - 8))) + generator.normal(0, 0.02, 500)
    found = correlate(prediction, opinion)
    assert found.logistic4.plcc is not None and found.logistic5.plcc is not None
    assert found.plcc < 0.89 < 0.92 < found.logistic4.plcc
    assert found.logistic5.plcc > found.plcc


def test_five_parameters_are_never_worse_than_a_line() -> None:
    generator = np.random.default_rng(2)
    for seed in range(10):
        opinion = generator.normal(size=80)
        prediction = opinion * seed + generator.normal(size=80)
        fit = correlate(prediction, opinion).logistic5
        if fit.plcc is not None:
            assert fit.plcc > abs(np.corrcoef(prediction, opinion)[0, 1]) - 1e-3


def test_a_fit_that_has_no_end_is_a_failure_with_its_reason() -> None:
    opinion = np.random.default_rng(1).uniform(0, 7, 300)
    found = correlate(np.log(opinion + 0.01), opinion)  # an exponential: the logistic's limit at infinity
    assert found.logistic4.plcc is None and "20000" in str(found.logistic4.reason)
    assert found.srcc == pytest.approx(1)


def test_too_few_values_for_a_fit() -> None:
    found = correlate([1, 2, 3, 5], [1, 2, 4, 3])
    assert found.logistic4.plcc is None and found.logistic4.reason == "4 values cannot fit 4 parameters"
    assert found.logistic5.reason == "4 values cannot fit 5 parameters"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, float("nan"), 3.0], "scores: 1 of 3 values are not finite, the first (nan) at position 2"),
        ([1.0, 2.0, float("inf")], "scores: 1 of 3 values are not finite, the first (inf) at position 3"),
        ([2.0, 2.0, 2.0], "scores: all 3 values are 2, so that no correlation is defined"),
        ([2.0], "scores: a correlation needs a list of two values or more, got shape (1,)"),
    ],
)
def test_what_cannot_be_correlated(values: list[float], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_scores(values, "scores")
    assert str(caught.value) == message


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 3 and 2"):
        correlate([1, 2, 3], [1, 2])


def test_scale_and_offset_do_not_matter() -> None:
    prediction, opinion = _scores()
    plain, scaled = correlate(prediction, opinion), correlate(1e12 * prediction - 5e13, opinion / 1e12)
    for a, b in zip(plain[1:4], scaled[1:4], strict=True):
        assert a == pytest.approx(b, abs=1e-9)
    assert plain.logistic4.plcc == pytest.approx(scaled.logistic4.plcc, abs=1e-6)


def test_2afc_is_that_of_lpips() -> None:
    d0, d1 = np.array([0.1, 0.4, 0.3, 0.2]), np.array([0.2, 0.1, 0.3, 0.9])
    judge = np.array([0.2, 0.6, 1.0, 0.7])  # share that prefers the second
    expected = np.mean((d0 < d1) * (1 - judge) + (d1 < d0) * judge + 0.5 * (d0 == d1))
    assert soft_credits(-d0, -d1, 1 - judge).mean() == pytest.approx(expected)
    assert expected == pytest.approx((0.8 + 0.6 + 0.5 + 0.3) / 4)


def test_hard_accuracy_leaves_ties_of_voters_out_and_halves_ties_of_scores() -> None:
    first, second = np.array([2.0, 1, 1, 3, 0]), np.array([1.0, 2, 1, 0, 1])
    preference = np.array([0.9, 0.6, 0.7, 0.5, 0.2])
    credit = hard_credits(first, second, preference)
    np.testing.assert_array_equal(credit, [1, 0, 0.5, np.nan, 1])


def test_nobody_gets_more_than_the_bound() -> None:
    generator = np.random.default_rng(0)
    preference = generator.uniform(size=200)
    bound = soft_bound(preference)
    assert (soft_credits(generator.normal(size=200), generator.normal(size=200), preference) <= bound).all()
    assert soft_credits(preference, 1 - preference, preference) == pytest.approx(bound)
