"""Metrics in tables and BD-rates: named and directed as their cards say."""

from dataclasses import replace
from typing import Any

import pytest

from lic.curves.bjontegaard_delta import bd_accuracy, bd_rate
from lic.curves.comparison import bd_rows, label
from lic.curves.facts import METRICS, metric_facts
from lic.curves.results import Results, facts_of, list_qualities
from lic.curves.table import markdown_table
from lic.metrics import CARDS
from lic.settings.evaluate import EvalConfig
from lic.settings.names import DEFAULT_METRICS


def test_as_the_cards_say() -> None:
    assert list(METRICS) == [card.name for card in CARDS]
    for card in CARDS:
        assert metric_facts(card.name).label == card.title
        assert metric_facts(card.name).is_lower_better == (card.better == "lower")
    assert EvalConfig().metric == list(DEFAULT_METRICS)


def with_lpips(results: Results) -> Results:
    """LPIPS = 1 - PSNR / 40, which falls as PSNR rises."""
    points = [replace(p, qualities={**p.qualities, "lpips": 1 - p.score("psnr") / 40}) for p in results.points]
    return replace(results, points=tuple(points))


def test_lower_is_better(make_results: Any) -> None:
    """A metric that is a falling line over PSNR gives PSNR's BD-rate, and its BD-accuracy by the line's slope."""
    one = with_lpips(make_results([0.1, 0.2, 0.4, 0.8], [24.5, 27, 30, 34]))
    other = with_lpips(make_results([0.09, 0.15, 0.3, 0.8], [24.5, 26.8, 30.2, 34.6]))
    found, expected = (bd_rate(one, other, name) for name in ("lpips", "psnr"))
    assert found.value == pytest.approx(expected.value)
    assert (found.low, found.high) == pytest.approx((1 - expected.high / 40, 1 - expected.low / 40))
    accuracy, in_db = (bd_accuracy(one, other, name).value for name in ("lpips", "psnr"))
    assert accuracy == pytest.approx((in_db or 0) / 40) and accuracy > 0
    assert "LPIPS" in [row.quality for row in bd_rows(one, [one, other])]
    assert list_qualities([one]) == [*DEFAULT_METRICS, "lpips"] and "| LPIPS |" in markdown_table([one])


def test_names_and_decimals(make_results: Any) -> None:
    results = [make_results([0.1], [27])]
    for name, shown in (("psnr", ("PSNR", 2, "PSNR (dB)")), ("coco-det", ("box AP", 1, "Detection, box AP (%)"))):
        facts = facts_of(results, name)
        assert (label(results, name), facts.digits, facts.title) == (shown[0], *shown[1:])
    own = metric_facts("of-my-own")
    assert (own.label, own.digits, own.is_lower_better) == ("of-my-own", 4, False)
    assert metric_facts("lpips").title == "LPIPS, lower is better"
