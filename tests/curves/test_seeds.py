"""Seeds: averaged point by point, compared seed by seed, kept apart on disk."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from lic.curves.bjontegaard_delta import bd_accuracy, bd_rate
from lic.curves.comparison import bd_rows
from lic.curves.figure import draw_curves
from lic.curves.naming import Curve, file_stems
from lic.curves.results import Results
from lic.curves.seeds import merge_seeds
from lic.curves.table import markdown_bd_rates, markdown_table

BPP, PSNR_DB = [0.1, 0.2, 0.4, 0.7], [24.0, 27.0, 30.0, 32.0]


def seeds_of(make_results: Any, factors: dict[int, float], **settings: Any) -> list[Results]:
    """A curve's seeds, each with its rates times a factor."""
    made = {seed: make_results([f * bpp for bpp in BPP], PSNR_DB, **settings) for seed, f in factors.items()}
    return [replace(each, seed=seed) for seed, each in made.items()]


def test_points_of_one_lmbda_are_averaged(make_results: Any) -> None:
    one = replace(make_results([0.1, 0.2], [24, 27], networks=["a", "b"]), seed=0)
    other = replace(make_results([0.14, 0.22], [25, 29], networks=["a", "b"]), seed=1)
    jpeg = make_results([0.3], [25], codec="jpeg", distortion=None, is_learned=False)
    first, alone = merge_seeds([one, jpeg, other])
    assert alone is jpeg and (first.name, first.seed) == ("mbt2018-mean / mse", None)
    assert [point.lmbda for point in first.points] == [0.01, 0.02]
    point = first.points[0]
    assert (point.bpp, point.score("psnr"), point.checkpoint) == (pytest.approx(0.12), 24.5, None)
    assert (point.bpp_estimated, point.num_images) == (pytest.approx(0.99 * 0.12), 200)
    assert point.score("coco-det") == pytest.approx(0.245) and point.score("coco-det@b") == pytest.approx(0.295)
    assert point.interval("coco-det") == pytest.approx((0.22, 0.28)), "the lowest low, the highest high"
    assert point.interval("coco-det@b") is None


def test_points_that_change_places_keep_their_lmbda(make_results: Any) -> None:
    one = replace(make_results([0.1, 0.2], [24, 27]), seed=0)
    other = replace(make_results([0.3, 0.2], [24, 27]), seed=1)  # the larger lmbda is the cheaper
    (merged,) = merge_seeds([one, other])
    found = {p.lmbda: (round(p.bpp, 9), p.score("psnr")) for p in merged.points}
    assert found == {0.01: (0.2, 24.0), 0.02: (0.2, 27.0)}


def test_what_one_seed_lacks_the_mean_lacks(make_results: Any) -> None:
    one, other = seeds_of(make_results, {0: 1, 1: 1.1})
    lacking = {"tasks": {"imagenet-cls": {"top1": math.nan}}, "qualities": {"psnr": 24.0, "mlclipsim": math.nan}}
    points = [replace(p, **lacking) for p in other.points]
    (merged,) = merge_seeds([one, replace(other, points=tuple(points))])
    assert list(merged.points[0].tasks) == ["imagenet-cls"]
    assert math.isnan(merged.points[0].score("imagenet-cls")) and math.isnan(merged.points[0].score("mlclipsim"))


def test_nothing_else_is_touched(make_results: Any) -> None:
    plain, twin = make_results(BPP, PSNR_DB), make_results(BPP, PSNR_DB)
    labelled = replace(plain, label="pure", seed=0)
    elsewhere = replace(plain, dataset="kodak", seed=1)
    seed = replace(plain, seed=2)
    given = [plain, twin, labelled, elsewhere, seed, seed]
    assert all(one is other for one, other in zip(merge_seeds(given), given, strict=True))
    merged = merge_seeds([replace(plain, seed=0), replace(plain, seed=1)])
    assert merge_seeds(merged) == merged


def test_other_grids_and_the_same_seed_twice_are_one_line(make_results: Any) -> None:
    one, other = (replace(make_results(BPP[:n], PSNR_DB[:n]), seed=n) for n in (2, 3))
    with pytest.raises(ValueError, match=r"^expected the same lmbdas of all seeds of mbt2018-mean / mse, came "
                                         r"0.01, 0.02 of seed 2 and 0.01, 0.02, 0.03 of seed 3; .*$"):  # fmt: skip
        merge_seeds([one, other])
    with pytest.raises(ValueError, match="seed 2 of mbt2018-mean / mse is there more than once"):
        merge_seeds([one, replace(one, seed=1), one])


def test_bd_by_seed(make_results: Any) -> None:
    mse = seeds_of(make_results, {0: 1.0, 1: 1.2, 2: 0.9})
    pure = seeds_of(make_results, {0: 0.5, 1: 0.72, 7: 0.5}, distortion="mlclipsim")
    jpeg = make_results([2 * bpp for bpp in BPP], PSNR_DB, codec="jpeg", distortion=None, is_learned=False)
    (mean,) = merge_seeds(mse)
    rows = [row for row in bd_rows(mse[1], [*mse, *pure, jpeg]) if row.quality == "PSNR"]
    assert [row.name for row in rows] == ["mbt2018-mean / mlclipsim", "jpeg"]
    pairs = [(mse[0], pure[0]), (mse[1], pure[1]), (mean, pure[2])]  # 7 has no counterpart
    by_hand = [float(bd_rate(*pair, "psnr").value or math.nan) for pair in pairs]
    assert by_hand[:2] == pytest.approx([-50, -40]) and by_hand[2] == pytest.approx(100 * (0.5 / (3.1 / 3) - 1))
    assert rows[0].rate.value == pytest.approx(fmean(by_hand))
    assert rows[0].rate.text == f"{fmean(by_hand):+.1f} % ({min(by_hand):+.1f} to {max(by_hand):+.1f})"
    assert rows[0].rate.over == "24.00 to 32.00"
    in_db = [float(bd_accuracy(*pair, "psnr").value or math.nan) for pair in pairs]
    assert rows[0].accuracy.text == f"{fmean(in_db):+.2f} dB ({min(in_db):+.2f} to {max(in_db):+.2f})"
    assert rows[1].rate.text == f"{bd_rate(mean, jpeg, 'psnr').value:+.1f} %"


def test_a_seed_that_cannot_be_compared_is_noted(make_results: Any) -> None:
    mse = seeds_of(make_results, {0: 1.0, 1: 1.0})
    good, bad = seeds_of(make_results, {0: 0.5, 1: 1.0}, distortion="mlclipsim")
    points = [replace(point, qualities={**point.qualities, "psnr": point.score("psnr") + 50}) for point in bad.points]
    (row,) = [r for r in bd_rows(mse[0], [*mse, good, replace(bad, points=tuple(points))]) if r.quality == "PSNR"]
    assert row.rate.text == "-50.0 %" and row.rate.note.startswith("seed 1: ") and "in common" in row.rate.note


def test_markdown_bd_rates(make_results: Any) -> None:
    mse = seeds_of(make_results, {0: 1.0, 1: 1.0})
    pure = seeds_of(make_results, {0: 0.5, 1: 0.6}, distortion="mlclipsim")
    pure = [replace(each, label="mlclipsim pure") for each in pure]
    single = make_results([0.3], [28], codec="jpeg", distortion=None, is_learned=False)
    webp = make_results([2 * bpp for bpp in BPP], PSNR_DB, codec="webp", distortion=None, is_learned=False)
    text = markdown_bd_rates(mse[0], [*mse, *pure, single, webp], ["coco-det", "psnr"])
    assert text == (
        "| BD-rate against mse, % | box AP | PSNR |\n"
        "| --- | ---: | ---: |\n"
        "| mbt2018-mean / mlclipsim pure | -45.0 (-50.0 to -40.0) | -45.0 (-50.0 to -40.0) |\n"
        "| jpeg | - | - |\n"
        "| webp | +100.0 | +100.0 |\n"
    )
    assert markdown_bd_rates(webp, [webp, single], ["psnr"]).startswith("| BD-rate against webp, % | PSNR |")


def test_figure_and_table_show_the_mean(make_results: Any, tmp_path: Path) -> None:
    seeds = seeds_of(make_results, {0: 1.0, 1: 1.2}, networks=["a", "b"])
    draw_curves(seeds, tmp_path / "seeds.png")
    draw_curves(merge_seeds(seeds), tmp_path / "mean.png")
    assert (tmp_path / "seeds.png").read_bytes() == (tmp_path / "mean.png").read_bytes()
    assert markdown_table(seeds) == markdown_table(merge_seeds(seeds))
    assert markdown_table(seeds).count("mbt2018-mean / mse") == 4


def test_names() -> None:
    mse, jpeg = Curve("mbt2018-mean", "mse"), Curve("jpeg")
    pure = Curve("mbt2018-mean-vbr", "mlclipsim", "mlclipsim pure", 1)
    assert [c.name for c in (mse, jpeg, pure)] == ["mbt2018-mean / mse", "jpeg", "mbt2018-mean-vbr / mlclipsim pure"]
    assert file_stems([mse, jpeg, pure]) == ["mbt2018-mean-mse", "jpeg", "mbt2018-mean-vbr-mlclipsim-pure"]
    stem = "mbt2018-mean-vbr-mlclipsim-pure"
    assert file_stems([pure, mse, pure._replace(seed=0)]) == [f"{stem}-seed1", "mbt2018-mean-mse", f"{stem}-seed0"]
    assert file_stems([mse, mse._replace(seed=3)]) == ["mbt2018-mean-mse", "mbt2018-mean-mse-seed3"]
    assert file_stems([Curve("../a", "b/../../c")]) == ["..-a-b-..-..-c"]
    with pytest.raises(ValueError, match=r"mbt2018-mean / mse \(mse\), mbt2018-mean / mse \(ssim\) would all be"):
        file_stems([mse, Curve("mbt2018-mean", "ssim", "mse")])
