"""The demo scenes: always the same, and readable as ImageNet, COCO and VOC."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import CocoCaptions, ImageFolder

from lic.demo.drawing import SPLITS, draw_scene
from lic.demo.scenes import SCENE_PX, SHAPES, cache_folder, scene_counts, scenes_root, write_scenes

NUM_TRAIN, NUM_VAL = 6, 4


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, NUM_TRAIN, NUM_VAL)
    return folder


def test_a_scene_is_always_the_same() -> None:
    first, again = draw_scene("val", 3), draw_scene("val", 3)
    assert np.array_equal(first.image, again.image)
    assert first.caption == again.caption


def test_splits_share_no_scene() -> None:
    images = {draw_scene(split, i).image.tobytes() for split in SPLITS for i in range(5)}
    assert len(images) == 5 * len(SPLITS)


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ValueError, match="split 'test' is unknown; choose from: train, val, networks"):
        draw_scene("test", 0)


@pytest.mark.parametrize("index", range(20))
def test_masks_are_apart_and_fill_their_boxes(index: int) -> None:
    scene = draw_scene("train", index)
    assert scene.image.shape == (SCENE_PX, SCENE_PX, 3)
    assert scene.image.dtype == np.uint8
    assert np.sum([item.mask for item in scene.objects], axis=0).max() == 1
    for item in scene.objects:
        x0, y0, x1, y1 = (int(edge) for edge in item.box)
        assert item.mask[y0:y1, x0:x1].sum() == item.mask.sum() > 0
        assert all(line.any() for line in (item.mask[y0], item.mask[y1 - 1], item.mask[:, x0], item.mask[:, x1 - 1]))


@pytest.mark.parametrize("index", range(10))
def test_the_caption_names_every_object_the_main_one_first(index: int) -> None:
    scene = draw_scene("train", index)
    named = [word for word in scene.caption.split() if word in SHAPES]
    assert named == [SHAPES[item.label] for item in scene.objects]
    assert scene.label == scene.objects[0].label


def test_imagefolder_reads_classes_in_alphabetical_order(root: Path) -> None:
    train, val = (ImageFolder(root / "imagenet" / split, allow_empty=True) for split in ("train", "val"))
    assert train.classes == list(SHAPES) == sorted(SHAPES)
    assert (len(train), len(val)) == (NUM_TRAIN, NUM_VAL)
    for path, label in val.samples:
        scene = draw_scene("val", int(Path(path).stem) - 100_000)
        assert label == scene.label
        assert np.array_equal(np.asarray(Image.open(path)), scene.image)


def test_coco_reads_boxes_and_visible_masks(root: Path) -> None:
    coco = COCO(root / "coco/annotations/instances_val2017.json")
    assert [coco.cats[i]["name"] for i in sorted(coco.cats)] == list(SHAPES)
    for image_id in coco.getImgIds():
        scene = draw_scene("val", image_id - 100_000)
        for item, annotation in zip(scene.objects, coco.loadAnns(coco.getAnnIds(image_id)), strict=True):
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width, y + height) == item.box
            assert annotation["category_id"] == item.label + 1
            assert np.array_equal(coco.annToMask(annotation), item.mask)


def test_coco_captions_are_the_scenes(root: Path) -> None:
    captions = CocoCaptions(root / "coco/val2017", root / "coco/annotations/captions_val2017.json")
    assert len(captions) == NUM_VAL
    image, (caption,) = captions[0]
    scene = draw_scene("val", captions.ids[0] - 100_000)
    assert caption == scene.caption
    assert np.array_equal(np.asarray(image), scene.image)


def test_voc_masks_are_the_scenes(root: Path) -> None:
    voc = root / "VOCdevkit/VOC2012"
    listed = {split: (voc / f"ImageSets/Segmentation/{split}.txt").read_text().split() for split in ("train", "val")}
    assert not set(listed["train"]) & set(listed["val"])
    for name in listed["val"]:
        classes = np.asarray(Image.open(voc / f"SegmentationClass/{name}.png"))
        assert np.asarray(Image.open(voc / f"JPEGImages/{name}.png")).shape == (SCENE_PX, SCENE_PX, 3)
        expected = sum(item.mask * (item.label + 1) for item in draw_scene("val", int(name) - 100_000).objects)
        assert np.array_equal(classes, expected)


def test_the_root_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path))
    monkeypatch.setenv("LIC_SCENES", "2,1")
    root = scenes_root()
    written = root.stat().st_mtime_ns
    assert scenes_root() == root
    assert root.stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.iterdir()] == [root.name], "nothing half-written stays behind"


def test_wrong_counts_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_SCENES", "64")
    with pytest.raises(ValueError, match="two positive numbers"):
        scene_counts()


def test_a_home_that_cannot_be_written_to_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIC_CACHE")
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.raises(ValueError, match=r"/dev/null/.cache/lic cannot be made .*LIC_CACHE=/tmp/lic"):
        cache_folder()
