"""BD-rate and BD-accuracy against curves whose answer is known, the package called directly, and scipy."""

import math
from dataclasses import replace
from typing import Any

import bjontegaard  # type: ignore[import-untyped]
import numpy as np
import pytest
from scipy.interpolate import Akima1DInterpolator  # type: ignore[import-untyped]
from scipy.optimize import nnls  # type: ignore[import-untyped]

from lic.curves.bjontegaard_delta import bd_accuracy, bd_rate, bpp_for, drop_at
from lic.curves.mpeg_fit import monotone_scores

BPP = [0.1, 0.2, 0.4, 0.7, 1.1]
PSNR_DB = [24.0, 27.0, 30.5, 33.0, 35.0]


@pytest.mark.parametrize("percent", [-50.0, -10.0, 0.0, 10.0, 100.0])
@pytest.mark.parametrize("quality", ["psnr", "ms-ssim", "mlclipsim", "coco-det"])
def test_a_shift_in_rate_is_the_bd_rate(make_results: Any, percent: float, quality: str) -> None:
    reference = make_results(BPP, PSNR_DB)
    candidate = make_results([bpp * (1 + percent / 100) for bpp in BPP], PSNR_DB)
    found = bd_rate(reference, candidate, quality)
    assert found.value == pytest.approx(percent, abs=1e-9)
    assert found.note == ""


def with_replicates(results: Any, errors: Any) -> Any:
    """Results whose detector scores differ by the errors, (points, sets), on as many sets of drawn images."""
    drawn = [[point.score("coco-det") + float(one) for one in own]
             for point, own in zip(results.points, errors, strict=True)]  # fmt: skip
    points = [replace(point, replicates={"coco-det": own}) for point, own in zip(results.points, drawn, strict=True)]
    return replace(results, points=tuple(points))


def test_an_interval_draws_the_same_images_for_both(make_results: Any) -> None:
    """What both curves share moves no BD-rate; what they do not share widens the interval."""
    generator = np.random.default_rng(0)
    shared, own = 0.01 * generator.standard_normal(200), 0.002 * generator.standard_normal((5, 200))
    reference = with_replicates(make_results(BPP, PSNR_DB), np.tile(shared, (5, 1)))
    candidate = make_results([0.8 * bpp for bpp in BPP], PSNR_DB, codec="candidate")
    assert bd_rate(reference, candidate, "coco-det").interval is None
    alike = bd_rate(reference, with_replicates(candidate, np.tile(shared, (5, 1))), "coco-det")
    assert alike.value == pytest.approx(-20) and alike.interval == (pytest.approx(-20), pytest.approx(-20))
    low, high = bd_rate(reference, with_replicates(candidate, shared + own), "coco-det").interval or (0, 0)
    assert -26 < low < -20.2 and -19.8 < high < -14
    assert bd_rate(reference, candidate, "psnr").interval is None


def test_equals_the_package(make_results: Any) -> None:
    bpp, psnr_db = [0.09, 0.15, 0.3, 0.8], [24.5, 26.8, 30.2, 34.6]
    found = bd_rate(make_results(BPP, PSNR_DB), make_results(bpp, psnr_db), "psnr")
    expected = bjontegaard.bd_rate(BPP, PSNR_DB, bpp, psnr_db, method="akima", require_matching_points=False)
    assert found.value == pytest.approx(expected, abs=1e-9)


def test_the_other_direction_is_the_reciprocal(make_results: Any) -> None:
    one, other = make_results(BPP, PSNR_DB), make_results([0.08, 0.2, 0.3, 0.8], [24, 28, 30, 36])
    there, back = bd_rate(one, other, "psnr").value, bd_rate(other, one, "psnr").value
    assert there is not None and back is not None
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_points_no_better_than_a_cheaper_one_are_left_out(make_results: Any) -> None:
    reference = make_results(BPP, PSNR_DB)
    bumpy = make_results([*BPP, 0.5, 0.2], [*PSNR_DB, 29.0, 26.0], codec="bumpy")
    found = bd_rate(reference, bumpy, "psnr")
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.note == "bumpy / mse: no better than a cheaper point at 0.2, 0.5 bpp, left out of the BD-rate"
    assert (found.low, found.high) == (24, 35)


def test_curves_that_cannot_be_compared_say_why(make_results: Any) -> None:
    reference = make_results(BPP, PSNR_DB)
    far = make_results(BPP, [psnr_db + 20 for psnr_db in PSNR_DB], codec="far")
    assert bd_rate(reference, far, "psnr")[:2] == (
        None,
        "mbt2018-mean / mse and far / mse reach no psnr in common",
    )
    near = make_results(BPP, [psnr_db + 9 for psnr_db in PSNR_DB])
    assert bd_rate(reference, near, "psnr")[:2] == (
        None,
        "the curves share 18% of the shorter one's range, 25% are needed",
    )
    two = make_results([0.1, 0.2], [24, 27], codec="two")
    assert bd_rate(reference, two, "psnr")[:2] == (None, "two / mse has 2 of the 3 points that are needed")
    falling = make_results(BPP, PSNR_DB[::-1], codec="falling")
    assert bd_rate(falling, reference, "psnr")[:2] == (
        None,
        "falling / mse has 1 of the 3 points that increase in psnr that are needed",
    )
    assert bd_rate(reference, far, "voc-seg")[:2] == (None, "mbt2018-mean / mse has no measured voc-seg")
    assert bd_rate(reference, make_results([], [], codec="empty"), "psnr").value is None


def test_what_a_number_rests_on_is_noted(make_results: Any) -> None:
    reference = make_results(BPP, PSNR_DB)
    half = make_results(BPP, [psnr_db + 5 for psnr_db in PSNR_DB])
    found = bd_rate(reference, half, "psnr")
    assert found.value is not None and found.value < 0
    assert found.note.startswith("over the 55% of the shorter curve's range that both reach")
    crooked = make_results([0.1, 0.11, 0.9, 1.0, 1.1], [24, 29, 29.1, 34, 35])
    assert "with pchip interpolation" in bd_rate(reference, crooked, "psnr").note


def test_a_short_curve_within_a_long_one_overlaps_fully(make_results: Any) -> None:
    short = make_results([0.2, 0.21, 0.22], [27.0, 27.2, 27.4])
    assert bd_rate(make_results(BPP, PSNR_DB), short, "psnr").note == ""


def test_extreme_curves_neither_warn_nor_fail(make_results: Any) -> None:
    steep = make_results([0.1, 1.0, 10.0, 1e300], [24, 24 + 1e-14, 24 + 2e-14, 35])
    bd_rate(make_results(BPP, PSNR_DB), steep, "psnr")
    bd_rate(steep, make_results(BPP, PSNR_DB), "psnr")


def test_an_unknown_quality_is_named(make_results: Any) -> None:
    with pytest.raises(ValueError, match="did you mean 'mlclipsim'"):
        bd_rate(make_results(BPP, PSNR_DB), make_results(BPP, PSNR_DB), "mlclipsm")


@pytest.mark.parametrize("quality", ["psnr", "coco-det"])
def test_lines_over_log_rate_have_a_closed_form(make_results: Any, quality: str) -> None:
    def line(bpp: float, offset: float, slope: float) -> float:
        return offset + slope * math.log10(bpp)

    rates, others = [0.1, 0.2, 0.4, 0.8], [0.15, 0.3, 0.6, 0.7, 1.6]
    reference = make_results(rates, [line(bpp, 40, 12) for bpp in rates])
    candidate = make_results(others, [line(bpp, 41, 15) for bpp in others])
    found = bd_accuracy(reference, candidate, quality)
    middle = (math.log10(0.15) + math.log10(0.8)) / 2
    unit = 1 if quality == "psnr" else 0.01
    assert found.value == pytest.approx(unit * (1 + 3 * middle), abs=1e-9)
    assert (found.low, found.high) == pytest.approx((0.15, 0.8)) and found.note == ""
    shifted = make_results(others, [line(bpp, 41, 12) for bpp in others])
    assert bd_accuracy(reference, shifted, quality).value == pytest.approx(unit * 1)
    assert bd_rate(reference, shifted, quality).value == pytest.approx(100 * (10 ** (-1 / 12) - 1))


def test_accuracy_equals_an_integral_of_scipy(make_results: Any) -> None:
    bpp, psnr_db = [0.09, 0.15, 0.3, 0.8], [24.5, 26.8, 30.2, 34.6]
    found = bd_accuracy(make_results(BPP, PSNR_DB), make_results(bpp, psnr_db), "psnr")
    grid = np.linspace(math.log(0.1), math.log(0.8), 20001)
    one, other = (Akima1DInterpolator(np.log(x), y)(grid) for x, y in ((BPP, PSNR_DB), (bpp, psnr_db)))
    assert found.value == pytest.approx(float(np.mean(other - one)), abs=1e-4)
    assert (found.low, found.high) == pytest.approx((0.1, 0.8))


def test_accuracy_keeps_and_flags_points_no_better_than_a_cheaper_one(make_results: Any) -> None:
    reference = make_results(BPP, [30.0] * 5, codec="flat")
    bumpy = make_results([*BPP, 0.2], [24, 27, 26, 33, 35, 20], codec="bumpy")
    found = bd_accuracy(reference, bumpy, "psnr")
    kept = bjontegaard.bd_psnr(BPP, [30.0] * 5, BPP, [24, 27, 26, 33, 35], method="akima")
    assert found.value == pytest.approx(kept)
    assert "bumpy / mse: no better than a cheaper point at 0.2, 0.4 bpp, kept in the BD-accuracy" in found.note
    assert "flat / mse: no better than a cheaper point at 0.2, 0.4, 0.7, 1.1 bpp" in found.note


def test_nothing_is_extrapolated(make_results: Any) -> None:
    reference = make_results(BPP, PSNR_DB)
    dearer = make_results([bpp * 20 for bpp in BPP], PSNR_DB)
    assert bd_accuracy(reference, dearer, "psnr").value is None
    assert "no rate in common" in bd_accuracy(reference, dearer, "psnr").note
    touching = make_results([bpp * 9 for bpp in BPP], PSNR_DB)
    assert "25% are needed" in bd_accuracy(reference, touching, "psnr").note
    assert "2 of the 3 points" in bd_accuracy(reference, make_results([0.1, 0.2], [24, 27]), "psnr").note
    assert "no measured voc-seg" in bd_accuracy(reference, reference, "voc-seg").note


def test_drop_is_read_off_the_line_over_log_rate(make_results: Any) -> None:
    results = make_results([0.1, 0.4], [20, 40])
    assert drop_at(results, "coco-det", 0.2) == pytest.approx(0.6 - 0.3)  # 0.2 lies half way from 0.1 to 0.4
    assert drop_at(results, "coco-det", 0.4) == pytest.approx(0.6 - 0.4)
    assert drop_at(results, "coco-det", 0.41) is None and drop_at(results, "coco-det", 0.09) is None
    assert drop_at(results, "voc-seg", 0.2) is None and drop_at(replace(results, ceiling={}), "coco-det", 0.2) is None


def test_rate_for_a_share_of_the_ceiling(make_results: Any) -> None:
    """coco-det is a hundredth of the PSNR, its ceiling 0.6; the dip at 0.3 bpp does not count."""
    results = make_results([0.1, 0.2, 0.3, 0.8], [30, 40, 38, 60])
    assert bpp_for(results, "coco-det", 0.5) == pytest.approx(0.1)
    assert bpp_for(results, "coco-det", 35 / 60) == pytest.approx(0.1 * 2**0.5)
    assert bpp_for(results, "coco-det", 50 / 60) == pytest.approx(0.4)
    assert bpp_for(results, "coco-det", 0.2) == pytest.approx(0.1), "the lowest rate measured is enough"
    assert bpp_for(results, "coco-det", 1.01) is None
    assert bpp_for(replace(results, ceiling={}), "coco-det", 0.5) is None


def test_mpegs_fit_leaves_a_rising_curve_alone(make_results: Any) -> None:
    pair = make_results(BPP, PSNR_DB), make_results([0.8 * bpp for bpp in BPP], PSNR_DB)
    assert bd_rate(*pair, "coco-det", "mpeg") == bd_rate(*pair, "coco-det")


def test_mpegs_fit_keeps_every_point(make_results: Any) -> None:
    """With one point too low, the fit moves all scores, our own rule leaves that point out."""
    pair = make_results(BPP, PSNR_DB), make_results(BPP, [24.0, 27.0, 26.9, 33.0, 35.0], codec="bumpy")
    ours, fitted = bd_rate(*pair, "coco-det"), bd_rate(*pair, "coco-det", "mpeg")
    assert ours.value is not None and fitted.value is not None and abs(fitted.value - ours.value) > 1
    assert ours.note.startswith("bumpy / mse: no better than a cheaper point at 0.4 bpp, left out")
    assert fitted.note.startswith("bumpy / mse: no better than a cheaper point at 0.4 bpp, fitted")
    by_hand = make_results(BPP, monotone_scores(BPP, [24.0, 27.0, 26.9, 33.0, 35.0]))
    assert bd_rate(pair[0], by_hand, "coco-det").value == pytest.approx(fitted.value, abs=1e-6)
    short, falling = make_results(BPP[:3], [24, 23, 25], codec="short"), make_results(BPP, PSNR_DB[::-1])
    assert bd_rate(pair[0], short, "coco-det", "mpeg").note == "short / mse has 3 of the 4 points that MPEG's fit needs"
    assert bd_rate(pair[0], falling, "coco-det", "mpeg").value is None  # its fit is flat


@pytest.mark.parametrize("seed", range(20))
def test_the_fit_is_the_best_of_all_monotone_cubics(seed: int) -> None:
    """Its squared error is that of another method, and it is what it says."""
    generator = np.random.default_rng(seed)
    bpp = np.cumsum(generator.uniform(0.05, 0.4, 6))
    noisy = np.clip(80 - 40 * np.exp(-3 * bpp) + generator.normal(0, 4, 6), 0, 100)
    found = np.array(monotone_scores(list(bpp), list(noisy)))
    assert np.all(np.diff(found) > -1e-6) and found[0] > -1e-6 and found[-1] < 100 + 1e-6
    cubic = np.polynomial.Polynomial.fit(np.log10(bpp), found, 3)
    assert cubic(np.log10(bpp)) == pytest.approx(found, abs=1e-6), "a cubic"
    assert np.all(cubic.deriv()(np.log10(bpp)) > -1e-4) and np.all(cubic.deriv(2)(np.log10(bpp)) < 1e-4)
    in_other_units = monotone_scores([1000 * rate for rate in bpp], list(noisy))
    assert in_other_units == pytest.approx(found, abs=1e-4)
    assert np.sum((found - noisy) ** 2) <= _least_squares_of_cone(np.log10(bpp), noisy) + 1e-4


def _least_squares_of_cone(x: Any, wanted: Any) -> float:
    """Return the least squared error of cubics that rise and bend down, by non-negative least squares.

    With s = x - x0 and L = xn - x0, their slopes are sums of 1, (L - s)^2 and L^2 - s^2 with no negative weights.
    """
    s, length = x - x[0], x[-1] - x[0]
    one = np.ones_like(s)
    columns = [one, -one, s, (length**3 - (length - s) ** 3) / 3, length**2 * s - s**3 / 3]
    return float(nnls(np.stack(columns, 1), wanted)[1] ** 2)
