"""Loaders of public sets, on small sets in exactly the layouts that people have; the traps of each."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image
from scipy.io import savemat

from lic.preferences.sets import load_set
from lic.preferences.sets.bapps import list_bapps
from lic.preferences.sets.csiq import list_csiq
from lic.preferences.sets.listing import Listing, Published, as_preference_set, check
from lic.preferences.sets.live import list_live
from lic.preferences.sets.opinions import PreferenceSet
from lic.preferences.sets.pieapp import list_pieapp
from lic.preferences.sets.pipal import list_pipal
from lic.preferences.sets.tid import list_kadid10k, list_tid2013


def _image(path: Path, side_px: int = 8, value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side_px, side_px, 3), value, np.uint8)).save(path)


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _load(listing: Listing, published: Published | None = None) -> PreferenceSet:
    return as_preference_set(check(listing, published))


def _tid(folder: Path) -> Path:
    for name in ("I01_01_1.bmp", "i01_01_2.bmp", "i25_10_1.BMP"):
        _image(folder / "distorted_images" / name)
    _image(folder / "reference_images" / "I01.BMP")
    _image(folder / "reference_images" / "i25.bmp")
    _text(folder / "mos_with_names.txt", "5.51429 I01_01_1.bmp\n7.21429 i01_01_2.bmp\n0.24242 I25_10_1.bmp\n")
    return folder


def test_tid2013_finds_files_in_any_case_and_higher_is_better(tmp_path: Path) -> None:
    rated = _load(list_tid2013(_tid(tmp_path)), Published(3, 2, 2, 0.24242, 7.21429)).rated
    assert [one.opinion for one in rated] == [5.51429, 7.21429, 0.24242]
    assert [one.kind for one in rated] == ["additive Gaussian noise", "additive Gaussian noise", "JPEG"]
    assert [one.level for one in rated] == [1, 2, 1]
    assert rated[2].reference and Path(rated[2].reference.name).name == "i25.bmp"
    assert rated[0].reference is rated[1].reference
    assert all(one.picture.read().shape == (1, 3, 8, 8) for one in rated)


def test_counts_that_differ_from_the_published_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 3000 rated images, found 3; expected 25 references, found 2"):
        load_set(f"tid2013:{_tid(tmp_path)}")


def test_labels_that_were_flipped_or_rescaled_are_refused(tmp_path: Path) -> None:
    _tid(tmp_path)
    _text(tmp_path / "mos_with_names.txt", "94.5 I01_01_1.bmp\n92.78 i01_01_2.bmp\n99.7 I25_10_1.bmp\n")
    with pytest.raises(ValueError, match=r"labels from 0\.242\S* to 7\.214\S*, found them from 92\.78 to 99\.7"):
        _load(list_tid2013(tmp_path), Published(3, 2, 2, 0.24242, 7.21429))


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    (_tid(tmp_path) / "distorted_images" / "i25_10_1.BMP").unlink()
    with pytest.raises(ValueError, match=r"1 of 5 images are missing, the first is .*distorted_images/I25_10_1\.bmp"):
        _load(list_tid2013(tmp_path))


def test_kadid10k_dmos_is_higher_better(tmp_path: Path) -> None:
    for name in ("I01.png", "I01_01_01.png", "I01_25_05.png"):
        _image(tmp_path / "images" / name)
    _text(tmp_path / "dmos.csv", "dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.93,0.2\n"
                                 "I01_25_05.png,I01.png,1.0,0.1\n")  # fmt: skip
    rated = _load(list_kadid10k(tmp_path), Published(2, 1, 2, 1, 4.93)).rated
    assert [(one.opinion, one.level, one.kind) for one in rated] == [
        (4.93, 1, "Gaussian blur"), (1.0, 5, "contrast change"),
    ]  # fmt: skip


def _live(folder: Path, orgs: list[int]) -> Path:
    for place in ("jp2k/img1.bmp", "jp2k/img2.bmp", "wn/img1.bmp", "refimgs/bikes.bmp", "refimgs/caps.bmp"):
        _image(folder / place)
    savemat(folder / "dmos.mat", {"dmos": np.array([[-2.64, 0.0, 111.77]]), "orgs": np.array([orgs])})
    names = np.array([["bikes.bmp", "bikes.bmp", "caps.bmp"]], dtype=object)
    savemat(folder / "refnames_all.mat", {"refnames_all": names})
    return folder


def test_live_drops_hidden_references_and_turns_its_labels(tmp_path: Path) -> None:
    folder = _live(tmp_path / "databaserelease2", [0, 1, 0])
    rated = _load(list_live(tmp_path, {"jp2k": 2, "wn": 1}), Published(2, 2, 2, -2.64, 111.77)).rated
    assert [(one.opinion, one.kind) for one in rated] == [(2.64, "JPEG 2000"), (-111.77, "white noise")]
    assert [one.picture.name for one in rated] == [f"{folder.name}/jp2k/img1.bmp", f"{folder.name}/wn/img1.bmp"]
    assert rated[1].reference and rated[1].reference.name.endswith("refimgs/caps.bmp")


def test_live_with_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 982 labels, found dmos 3, orgs 3 and names of 3 references"):
        load_set(f"live:{_live(tmp_path, [0, 1, 0])}")


def _csiq_images(folder: Path, is_flat: bool) -> Path:
    for name, place in (("1600.AWGN.1.png", "awgn"), ("1600.jpeg2000.5.png", "jpeg2000"), ("swarm.BLUR.2.png", "blur")):
        _image(folder / "dst_imgs" / ("" if is_flat else place) / name)
    for name in ("1600.png", "swarm.png"):
        _image(folder / "src_imgs" / name)
    return folder


def _csiq_text(folder: Path) -> None:
    _text(folder / "csiq_label.txt", "1600.AWGN.1.png 0.0\n1600.jpeg2000.5.png 1.0\nswarm.BLUR.2.png 0.25\n")


def _csiq_sheet(folder: Path) -> None:
    book = Workbook()
    book.active.append(["a sheet about something else"])
    sheet = book.create_sheet("all_by_image")
    sheet.append([])
    sheet.append([None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"])
    sheet.append([None, None, None, 1600, 1, "noise", 1, 0.06, 0.0])
    sheet.append([None, None, None, 1600, 3, "jpeg 2000", 5, 0.06, 1.0])
    sheet.append([None, None, None, "swarm", 5, "blur", 2, 0.06, 0.25])
    book.save(folder / "csiq.DMOS.xlsx")


@pytest.mark.parametrize("is_flat", [True, False])
@pytest.mark.parametrize("write", [_csiq_text, _csiq_sheet])
def test_csiq_in_both_layouts(tmp_path: Path, write: Callable[[Path], None], is_flat: bool) -> None:
    write(_csiq_images(tmp_path, is_flat))
    rated = _load(list_csiq(tmp_path), Published(3, 2, 3, 0, 1)).rated
    assert [(one.opinion, one.kind, one.level) for one in rated] == [
        (0.0, "white noise", 1), (-1.0, "JPEG 2000", 5), (-0.25, "Gaussian blur", 2),
    ]  # fmt: skip
    assert [one.reference and one.reference.name for one in rated] == [
        "src_imgs/1600.png", "src_imgs/1600.png", "src_imgs/swarm.png",
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["Train_Dist", "Dist_Imgs", "Distortion_3"])
def test_pipal_in_all_layouts(tmp_path: Path, place: str) -> None:
    for name in ("A0001_00_00.bmp", "A0001_06_26.bmp"):
        _image(tmp_path / place / name)
    _image(tmp_path / "Train_Ref" / "A0001.bmp")
    _text(tmp_path / "Train_Label" / "A0001.txt", "A0001_00_00.bmp,1836.0\nA0001_06_26.bmp,916.7\n")
    rated = _load(list_pipal(tmp_path), Published(2, 1, 2, 916.7, 1836.0)).rated
    assert [(one.opinion, one.kind) for one in rated] == [(1836.0, "group 00"), (916.7, "group 06")]


def _bapps(folder: Path, part: str = "val") -> Path:
    kind = folder / "2afc" / part / "cnn"
    (kind / "judge").mkdir(parents=True)
    for number, judge in enumerate((0.2, 1.0)):
        np.save(kind / "judge" / f"{number:06d}.npy", np.array([judge], np.float32))
        for place, value in (("ref", 10), ("p0", 20), ("p1", 30)):
            _image(kind / place / f"{number:06d}.png", 128, value)
    return folder


def test_bapps_judgements_are_for_the_second(tmp_path: Path) -> None:
    compared = _load(list_bapps(_bapps(tmp_path), "test", None)).compared
    assert [one.preference for one in compared] == pytest.approx([0.8, 0.0])
    assert [one.kind for one in compared] == ["cnn", "cnn"]
    images = [one.read() for one in (compared[0].reference, compared[0].first, compared[0].second)]
    assert [round(255 * image.mean().item()) for image in images] == [10, 20, 30]
    assert images[0].shape == (1, 3, 64, 64), "LPIPS is measured at 64 px"


def test_bapps_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected about 4700 judgements in .*traditional, found 0"):
        load_set(f"bapps:{_bapps(tmp_path)}")
    with pytest.raises(ValueError, match="no 2afc/val or 2afc/train"):
        load_set(f"bapps:{tmp_path / '2afc' / 'val'}")


def _pieapp(folder: Path) -> Path:
    for split, header, rows in (
        ("test", "ref image, distorted image A, distorted image B, preference for A",
         ["ref_1.png,distort_1_jpeg_inter_0.png,distort_1_motion_blur_intra_3.png,0.9",
          "ref_1.png,ref_1.png,distort_1_jpeg_inter_0.png,0.975"]),
        ("train", "ref image, distorted image A, distorted image B, raw preference for A, processed preference for A",
         ["ref_1.png,distort_1_jpeg_inter_0.png,distort_1_motion_blur_intra_3.png,,0.3",
          "ref_1.png,distort_1_jpeg_inter_0.png,distort_1_motion_blur_intra_3.png,0.25,"]),
    ):  # fmt: skip
        _text(folder / "labels" / split / "ref_1_pairwise_labels.csv", "\n".join([header, *rows]) + "\n")
        _image(folder / "reference_images" / split / "ref_1.png")
        for name in ("distort_1_jpeg_inter_0.png", "distort_1_motion_blur_intra_3.png"):
            _image(folder / "distorted_images" / split / "ref_1" / name)
    _text(folder / "labels" / "test" / "ref_1_per_image_score.csv",
          "ref image, distorted image, score for distorted image\nref_1.png,distort_1_jpeg_inter_0.png,1.5\n"
          "ref_1.png,ref_1.png,0\n")  # fmt: skip
    return folder


def test_pieapp_test_part(tmp_path: Path) -> None:
    found = _load(list_pieapp(_pieapp(tmp_path), "test"), Published(1, 1, None, pairs=1))
    assert [one.preference for one in found.compared] == [0.9, 0.975]
    assert found.compared[1].first is found.compared[1].reference, "A may be the reference itself"
    assert found.compared[0].kind == "jpeg / motion blur"
    assert [(one.opinion, one.kind) for one in found.rated] == [(-1.5, "jpeg")], "dissimilarity: lower is better"


def test_pieapp_training_part_takes_the_processed_probability(tmp_path: Path) -> None:
    _pieapp(tmp_path)
    _text(tmp_path / "labels" / "val" / "ref_2_pairwise_labels.csv", " a, b, c, d\nref_2.png,x.png,y.png,\n")
    found = list_pieapp(tmp_path, "fit")
    assert [pair.preference for pair in found.pairs] == [0.3, 0.25], "blank labels are no labels"


def _manifest(folder: Path, columns: str, rows: list[list[Any]]) -> str:
    for name in ("a.png", "b.png"):
        _image(folder / "dist" / name)
    _image(folder / "ref" / "r.png")
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    _text(folder / "columns.yaml", columns)
    return str(folder / "columns.yaml")


COLUMNS = (
    "manifest: labels.csv\ndistorted: img\nreference: src\nopinion: mos\nbetter: higher\n"
    "images: dist\nreferences: ref\n"
)
ROWS = [["img", "src", "mos", "task"], ["a.png", "r.png", "3", "vqa"], ["b.png", "r.png", "1", "vqa"]]


def test_manifest(tmp_path: Path) -> None:
    found = load_set(f"mpd:{tmp_path}", columns=_manifest(tmp_path, COLUMNS, ROWS))
    assert [(one.picture.name, one.opinion) for one in found.rated] == [("dist/a.png", 3), ("dist/b.png", 1)]


def test_manifest_where_lower_is_better(tmp_path: Path) -> None:
    columns = _manifest(tmp_path, COLUMNS.replace("higher", "lower"), ROWS)
    assert [one.opinion for one in load_set(f"mpd:{tmp_path}", columns=columns).rated] == [-3, -1]


def test_manifest_with_tasks(tmp_path: Path) -> None:
    rows = [*ROWS, ["a.png", "r.png", "5", "cap"], ["b.png", "r.png", "2", "cap"]]
    columns = _manifest(tmp_path, COLUMNS, rows)
    with pytest.raises(ValueError, match="has 2 labels; name their column with 'task'"):
        load_set(f"mpd:{tmp_path}", columns=columns)
    columns = _manifest(tmp_path, COLUMNS + "task: task\n", rows)
    assert [one.opinion for one in load_set(f"mpd:{tmp_path}", columns=columns).rated] == [4, 1.5]
    columns = _manifest(tmp_path, COLUMNS + "rows: {task: cap}\n", rows)
    assert [one.opinion for one in load_set(f"mpd:{tmp_path}", columns=columns).rated] == [5, 2]


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (COLUMNS.replace("mos", "moss"), ROWS, "column 'moss' is unknown; did you mean 'mos'"),
        (COLUMNS + "kin: task\n", ROWS, "key 'kin' is unknown; did you mean 'kind'"),
        (COLUMNS.replace("better: higher\n", ""), ROWS, "lacks better"),
        (COLUMNS.replace("higher", "up"), ROWS, "better must be higher or lower, got 'up'"),
        (COLUMNS + "range: [0, 2]\n", ROWS, r"labels.csv, line 2: expected mos in 0 \.\. 2, found 3"),
        (COLUMNS, [*ROWS[:2], ["b.png", "r.png", "good", ""]], "labels.csv, line 3: expected a number, found 'good'"),
        (COLUMNS, [*ROWS, ["c.png", "r.png", "1", ""]], "1 of 4 images are missing, the first is .*dist/c.png"),
        (COLUMNS, [*ROWS[:2], ["b.png", "1"]], "labels.csv, line 3: expected 4 cells"),
        (COLUMNS, ROWS[:1], "no labels"),
        (COLUMNS.replace("labels.csv", "none.csv"), ROWS, "no manifest at .*none.csv"),
        ("- a\n", ROWS, "holds no settings"),
    ],
)
def test_mistakes_in_a_manifest(tmp_path: Path, columns: str, rows: list[list[Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_set(f"mpd:{tmp_path}", columns=_manifest(tmp_path, columns, rows))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tid2014:x", "set 'tid2014' is unknown; did you mean 'tid2013'"),
        ("tid2013", "names no folder; write tid2013:FOLDER"),
        ("tid2013:/nowhere", "there is no folder /nowhere"),
        ("mpd:/tmp", "mpd needs --columns"),
        ("kadid10k:{}", r"no dmos\.csv in"),
        ("live:{}", r"no dmos\.mat in"),
        ("csiq:{}", r"no csiq_label\.txt or csiq\.DMOS\.xlsx in"),
        ("pipal:{}", r"no Train_Label/\*\.txt in"),
        ("pieapp:{}", "no folder labels in"),
    ],
)
def test_a_wrong_set_is_one_line(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_set(spec.format(tmp_path))
