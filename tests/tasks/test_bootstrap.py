"""Intervals: those of a mean are where theory has them, and the draw never changes."""

import numpy as np
import pytest

from lic.tasks.bootstrap import NUM_REPLICATES, draw_weights, interval, mean_interval


def test_weights_draw_as_many_images_as_there_are() -> None:
    weights = draw_weights(50)
    assert weights.shape == (NUM_REPLICATES, 50) and (weights.sum(1) == 50).all()
    assert (weights == 0).mean() == pytest.approx(np.exp(-1), abs=0.02)
    assert np.array_equal(weights, draw_weights(50)) and len(np.unique(weights, axis=0)) == NUM_REPLICATES


def test_interval_of_a_share_is_the_binomials() -> None:
    hits = (np.arange(1000) % 10 < 7).astype(float)
    ends = mean_interval("top1", hits)
    error = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert ends["top1_low"] == pytest.approx(0.7 - error, abs=0.008)
    assert ends["top1_high"] == pytest.approx(0.7 + error, abs=0.008)
    assert len(ends["top1_replicates"]) == NUM_REPLICATES
    assert np.percentile(ends["top1_replicates"], 2.5) == pytest.approx(ends["top1_low"], abs=1e-5)
    ones = {"top1_low": 1.0, "top1_high": 1.0, "top1_replicates": [1.0] * NUM_REPLICATES}
    assert mean_interval("top1", np.ones(1)) == ones


def test_sets_that_hold_nothing_are_left_out() -> None:
    values = np.array([np.nan, *np.linspace(0, 1, 41), np.nan])
    found = interval("ap", values)
    assert (found["ap_low"], found["ap_high"]) == (pytest.approx(0.025), pytest.approx(0.975))
    assert all(np.isnan(value).all() for value in interval("ap", np.full(3, np.nan)).values())
