"""The readers of ImageNet, COCO and VOC: on the demo scenes, on tiny sets by hand, on real photographs if there are."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lic.data.coco import read_coco
from lic.data.imagenet import read_imagenet
from lic.data.voc import read_voc
from lic.demo.drawing import draw_scene
from lic.demo.scenes import SHAPES, scene_counts, scenes_root

REAL = os.environ.get("LIC_TEST_DATA")
needs_real_data = pytest.mark.skipif(REAL is None, reason="LIC_TEST_DATA names no folder of real photographs")
NUM_VAL = 16


def picture(path: Path) -> Path:
    """Write a small image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(path)
    return path


def refusal(read: object, *arguments: object) -> str:
    """The one line that a reader refuses a folder with."""
    with pytest.raises(ValueError) as error:
        read(*arguments)  # type: ignore[operator]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_demo_world_is_the_tests_own() -> None:
    assert scene_counts()[1] == NUM_VAL


def test_imagenet_of_the_scenes() -> None:
    labelled = read_imagenet(scenes_root())
    assert labelled.classes == list(SHAPES) and len(labelled.images) == NUM_VAL
    for path, label in zip(labelled.images, labelled.labels, strict=True):
        scene = draw_scene("val", int(path.stem) - 100_000)
        assert scene.label == label and path.parent.name == SHAPES[label]
        assert np.array_equal(np.array(Image.open(path)), scene.image)
    train = read_imagenet(scenes_root(), "train").images
    assert len(train) == scene_counts()[0] and not set(train) & set(labelled.images)


def test_coco_of_the_scenes() -> None:
    coco = read_coco(scenes_root())
    assert len(coco.images) == len(coco.image_ids) == NUM_VAL
    for path, image_id in zip(coco.images, coco.image_ids, strict=True):
        scene = draw_scene("val", image_id - 100_000)
        assert np.array_equal(np.array(Image.open(path)), scene.image)
        found = coco.annotations.loadAnns(coco.annotations.getAnnIds(imgIds=[image_id]))
        boxes = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in (item.box for item in scene.objects)]
        assert [annotation["bbox"] for annotation in found] == boxes
        names = [coco.annotations.cats[annotation["category_id"]]["name"] for annotation in found]
        assert names == [SHAPES[item.label] for item in scene.objects]
        for annotation, item in zip(found, scene.objects, strict=True):
            assert np.array_equal(coco.annotations.annToMask(annotation), item.mask)


def test_voc_of_the_scenes() -> None:
    voc = read_voc(scenes_root())
    assert len(voc.images) == len(voc.masks) == NUM_VAL
    for path, mask in zip(voc.images, voc.masks, strict=True):
        scene = draw_scene("val", int(path.stem) - 100_000)
        expected = np.zeros(scene.image.shape[:2], np.uint8)
        for item in scene.objects:
            expected[item.mask] = item.label + 1
        assert np.array_equal(np.array(Image.open(mask)), expected)
        assert np.array_equal(np.array(Image.open(path)), scene.image)


def test_sets_of_the_scenes_hold_the_same_images() -> None:
    root = scenes_root()
    sets = [read_imagenet(root).images, read_coco(root).images, read_voc(root).images]
    resolved = [sorted(path.resolve() for path in images) for images in sets]
    assert resolved[0] == resolved[1] == resolved[2]


@pytest.mark.parametrize("below", ["val", "imagenet/val"])
def test_imagenet_layout(below: str, tmp_path: Path) -> None:
    names = ["n02/b.JPEG", "n01/z.JPEG", "n01/a.JPEG", "n10/c.JPEG"]
    for name in names:
        picture(tmp_path / below / name)
    labelled = read_imagenet(tmp_path)
    folder = tmp_path / below
    assert labelled.classes == ["n01", "n02", "n10"]
    assert list(zip(labelled.images, labelled.labels, strict=True)) == [
        (folder / "n01/a.JPEG", 0),
        (folder / "n01/z.JPEG", 0),
        (folder / "n02/b.JPEG", 1),
        (folder / "n10/c.JPEG", 2),
    ]


def test_no_imagenet(tmp_path: Path) -> None:
    message = refusal(read_imagenet, tmp_path)
    assert str(tmp_path) in message and "val/CLASS/*.JPEG" in message and "https://image-net.org" in message
    (tmp_path / "val").mkdir()
    assert refusal(read_imagenet, tmp_path) == message
    (tmp_path / "val" / "n01").mkdir()
    assert "n01" in refusal(read_imagenet, tmp_path)


def make_coco(base: Path, annotated: bool = True) -> None:
    images = [{"id": 7, "file_name": "b.jpg", "width": 8, "height": 6}]
    images += [{"id": 3, "file_name": "a.jpg", "width": 8, "height": 6}]
    for image in images:
        picture(base / "val2017" / str(image["file_name"]))
    box = {"id": 1, "image_id": 7, "category_id": 90, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
    content = {"images": images, "annotations": [box] if annotated else [], "categories": [{"id": 90, "name": "cup"}]}
    (base / "annotations").mkdir(exist_ok=True)
    (base / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


@pytest.mark.parametrize("below", [".", "coco"])
def test_coco_layout(below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_coco(tmp_path / below)
    coco = read_coco(tmp_path)
    assert coco.image_ids == [3, 7]
    assert coco.images == [tmp_path / below / "val2017" / name for name in ("a.jpg", "b.jpg")]
    assert [a["bbox"] for a in coco.annotations.loadAnns(coco.annotations.getAnnIds(imgIds=[7]))] == [[1, 2, 3, 4]]
    assert capsys.readouterr().out == "", "pycocotools is quiet"


def test_no_coco(tmp_path: Path) -> None:
    message = refusal(read_coco, tmp_path)
    assert str(tmp_path) in message and "annotations/instances_val2017.json" in message and "cocodataset" in message
    make_coco(tmp_path)
    (tmp_path / "val2017" / "a.jpg").unlink()
    message = refusal(read_coco, tmp_path)
    assert message.startswith("1 of 2 images") and message.endswith(str(tmp_path / "val2017" / "a.jpg"))
    file = tmp_path / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text()[:50])
    assert str(file) in refusal(read_coco, tmp_path)
    no_width = '{"images": [{"id": 3, "file_name": "b.jpg"}], "annotations": [], "categories": []}'
    for content in ("[1, 2]", "{}", '{"images": []}', '{"images": [{"id": 1}], "annotations": []}', no_width):
        file.write_text(content)
        assert str(file) in refusal(read_coco, tmp_path), content
    file.unlink()
    assert "expected val2017/ and annotations/instances_val2017.json" in refusal(read_coco, tmp_path)


def make_voc(base: Path) -> None:
    for stem in ("2007_000033", "2007_000042"):
        picture(base / "JPEGImages" / f"{stem}.jpg")
        picture(base / "SegmentationClass" / f"{stem}.png")
    picture(base / "JPEGImages" / "2007_999999.jpg")  # in VOC, but not in its segmentation set
    listing = base / "ImageSets" / "Segmentation" / "val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("2007_000042\n2007_000033\n")


@pytest.mark.parametrize("below", [".", "VOC2012", "VOCdevkit/VOC2012"])
def test_voc_layout(below: str, tmp_path: Path) -> None:
    make_voc(tmp_path / below)
    voc = read_voc(tmp_path)
    base = tmp_path / below
    assert voc.images == [base / "JPEGImages" / f"{stem}.jpg" for stem in ("2007_000042", "2007_000033")]
    assert voc.masks == [base / "SegmentationClass" / f"{stem}.png" for stem in ("2007_000042", "2007_000033")]


def test_no_voc(tmp_path: Path) -> None:
    message = refusal(read_voc, tmp_path)
    assert str(tmp_path) in message and "ImageSets/Segmentation/val.txt" in message and "robots.ox.ac.uk" in message
    make_voc(tmp_path)
    assert "train.txt" in refusal(read_voc, tmp_path, "train")
    for folder, name in (("SegmentationClass", "2007_000033.png"), ("JPEGImages", "2007_000042.jpg")):
        (tmp_path / folder / name).unlink()
        assert str(tmp_path / folder / name) in refusal(read_voc, tmp_path)
    assert refusal(read_voc, tmp_path).startswith("2 files listed in ")
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("\n")
    assert "val.txt" in refusal(read_voc, tmp_path)


@needs_real_data
def test_photographs_of_coco(tmp_path: Path) -> None:
    source = Path(str(REAL)) / "coco128"
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").symlink_to(source / "boxes_coco_val2017.json")
    (tmp_path / "val2017").symlink_to(source / "images" / "val2017")
    coco = read_coco(tmp_path)
    assert len(coco.images) == 127 and coco.image_ids == sorted(coco.image_ids)
    for path, image_id in zip(coco.images[:20], coco.image_ids[:20], strict=True):
        record = coco.annotations.imgs[image_id]
        with Image.open(path) as image:
            assert int(path.stem) == image_id and image.size == (record["width"], record["height"])
        boxes = (source / "boxes_yolo" / "val2017" / f"{path.stem}.txt").read_text().splitlines()
        assert len(coco.annotations.getAnnIds(imgIds=[image_id])) == len(boxes)


@needs_real_data
def test_photographs_of_imagenet(tmp_path: Path) -> None:
    source = Path(str(REAL)) / "imagenet378"
    rows = list(csv.DictReader((source / "labels.csv").read_text().splitlines()))
    for row in rows:
        folder = tmp_path / "val" / row["wnid"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / row["file"]).symlink_to(source / "images" / row["file"])
    labelled = read_imagenet(tmp_path)
    by_file = {row["file"]: row["wnid"] for row in rows}
    assert len(labelled.images) == 378 and max(Counter(labelled.labels).values()) == 1
    assert all(
        by_file[path.name] == labelled.classes[label]
        for path, label in zip(labelled.images, labelled.labels, strict=True)
    )
