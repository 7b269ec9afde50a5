"""BD-rate against curves whose answer is known, and against the package called directly."""

from typing import Any

import bjontegaard  # type: ignore[import-untyped]
import pytest

from lic.curves.bd_rate import bd_rate

BPP = [0.1, 0.2, 0.4, 0.7, 1.1]
PSNR_DB = [24.0, 27.0, 30.5, 33.0, 35.0]


@pytest.mark.parametrize("percent", [-50.0, -10.0, 0.0, 10.0, 100.0])
@pytest.mark.parametrize("quality", ["psnr_db", "ms_ssim", "mlclipsim", "coco-det"])
def test_a_shift_in_rate_is_the_bd_rate(make_results: Any, percent: float, quality: str) -> None:
    reference = make_results(BPP, PSNR_DB)
    candidate = make_results([bpp * (1 + percent / 100) for bpp in BPP], PSNR_DB)
    found = bd_rate(reference, candidate, quality)
    assert found.percent == pytest.approx(percent, abs=1e-9)
    assert found.note == ""


def test_equals_the_package(make_results: Any) -> None:
    bpp, psnr_db = [0.09, 0.15, 0.3, 0.8], [24.5, 26.8, 30.2, 34.6]
    found = bd_rate(make_results(BPP, PSNR_DB), make_results(bpp, psnr_db), "psnr_db")
    expected = bjontegaard.bd_rate(BPP, PSNR_DB, bpp, psnr_db, method="akima", require_matching_points=False)
    assert found.percent == pytest.approx(expected, abs=1e-9)


def test_the_other_direction_is_the_reciprocal(make_results: Any) -> None:
    one, other = make_results(BPP, PSNR_DB), make_results([0.08, 0.2, 0.3, 0.8], [24, 28, 30, 36])
    there, back = bd_rate(one, other, "psnr_db").percent, bd_rate(other, one, "psnr_db").percent
    assert there is not None and back is not None
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_points_no_better_than_a_cheaper_one_are_left_out(make_results: Any) -> None:
    reference = make_results(BPP, PSNR_DB)
    bumpy = make_results([*BPP, 0.5, 0.2], [*PSNR_DB, 29.0, 26.0], codec="bumpy")
    found = bd_rate(reference, bumpy, "psnr_db")
    assert found.percent == pytest.approx(0, abs=1e-9)
    assert found.note == "bumpy / mse: 2 points left out, no better than a cheaper one"


def test_curves_that_cannot_be_compared_say_why(make_results: Any) -> None:
    reference = make_results(BPP, PSNR_DB)
    far = make_results(BPP, [psnr_db + 20 for psnr_db in PSNR_DB], codec="far")
    assert bd_rate(reference, far, "psnr_db") == (None, "mbt2018-mean / mse and far / mse reach no psnr_db in common")
    near = make_results(BPP, [psnr_db + 9 for psnr_db in PSNR_DB])
    assert bd_rate(reference, near, "psnr_db") == (
        None,
        "the curves share 18% of the shorter one's range, 25% are needed",
    )
    two = make_results([0.1, 0.2], [24, 27], codec="two")
    assert bd_rate(reference, two, "psnr_db") == (None, "two / mse has 2 of the 3 points that are needed")
    falling = make_results(BPP, PSNR_DB[::-1], codec="falling")
    assert bd_rate(falling, reference, "psnr_db") == (
        None,
        "falling / mse has 1 of the 3 points that increase in psnr_db that are needed",
    )
    assert bd_rate(reference, far, "voc-seg") == (None, "mbt2018-mean / mse has no measured voc-seg")
    assert bd_rate(reference, make_results([], [], codec="empty"), "psnr_db").percent is None


def test_what_a_number_rests_on_is_noted(make_results: Any) -> None:
    reference = make_results(BPP, PSNR_DB)
    half = make_results(BPP, [psnr_db + 5 for psnr_db in PSNR_DB])
    found = bd_rate(reference, half, "psnr_db")
    assert found.percent is not None and found.percent < 0
    assert found.note.startswith("over the 55% of the shorter curve's range that both reach")
    crooked = make_results([0.1, 0.11, 0.9, 1.0, 1.1], [24, 29, 29.1, 34, 35])
    assert "with pchip interpolation" in bd_rate(reference, crooked, "psnr_db").note


def test_a_short_curve_within_a_long_one_overlaps_fully(make_results: Any) -> None:
    short = make_results([0.2, 0.21, 0.22], [27.0, 27.2, 27.4])
    assert bd_rate(make_results(BPP, PSNR_DB), short, "psnr_db").note == ""


def test_extreme_curves_neither_warn_nor_fail(make_results: Any) -> None:
    steep = make_results([0.1, 1.0, 10.0, 1e300], [24, 24 + 1e-14, 24 + 2e-14, 35])
    bd_rate(make_results(BPP, PSNR_DB), steep, "psnr_db")
    bd_rate(steep, make_results(BPP, PSNR_DB), "psnr_db")


def test_an_unknown_quality_is_named(make_results: Any) -> None:
    with pytest.raises(ValueError, match="did you mean 'mlclipsim'"):
        bd_rate(make_results(BPP, PSNR_DB), make_results(BPP, PSNR_DB), "mlclip")
