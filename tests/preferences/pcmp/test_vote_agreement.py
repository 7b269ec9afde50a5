"""Agreement between voters: published numbers, brute force, and cases that can be counted."""

import itertools

import numpy as np
import pytest

from lic.preferences.pcmp.vote_agreement import krippendorff_alpha, measure_agreement
from lic.preferences.pcmp.voters import Card, Group

NAN = float("nan")


def card(name: str, group: Group) -> Card:
    return Card(name, name, "classification", group, "")


def test_alpha_is_krippendorff_s() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: interval alpha = .849
    coders = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
    assert krippendorff_alpha(np.array(coders).T) == pytest.approx(0.849, abs=5e-4)


def test_alpha_needs_something_to_disagree_on() -> None:
    assert krippendorff_alpha(np.ones((5, 3))) is None
    assert krippendorff_alpha(np.array([[0.0], [1.0]])) is None
    votes = np.random.default_rng(0).integers(0, 2, (4000, 3)).astype(float)
    assert krippendorff_alpha(votes) == pytest.approx(0, abs=0.05)


def test_pairwise_agreement_is_brute_force() -> None:
    votes = np.random.default_rng(1).choice([0, 0.5, 1], (20, 5))
    cards = [card(str(i), "fit" if i < 3 else "test") for i in range(5)]
    each = [1 - np.abs(votes[:, i] - votes[:, j]).mean() for i, j in itertools.combinations(range(5), 2)]
    assert measure_agreement(votes, cards).pairwise_agreement == pytest.approx(np.mean(each))


def test_leaving_a_voter_out_by_hand() -> None:
    votes = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.5, 1.0, 0.0]])
    cards = [card("x", "fit"), card("y", "fit"), card("z", "test")]
    statistics = measure_agreement(votes, cards)
    x, _, z = statistics.voters
    assert x.ties == pytest.approx(1 / 3)
    assert x.agreement == pytest.approx((1 + 0 + 1) / 3)
    assert x.soft_change == pytest.approx((0 + 1 / 3 + 0) / 3)
    assert x.hard_change == 0
    assert z.hard_change == pytest.approx(2 / 3)  # rows 2 and 3: the others are 0.5 and 0.75, all are 1/3 and 0.5
    assert statistics.unanimous == pytest.approx(1 / 3)
    assert statistics.undecided == pytest.approx(1 / 3)
    assert statistics.groups_agree == pytest.approx(1 / 2)  # of rows 1 and 3, row 2 being undecided among x and y
