"""The readers of the layouts in which people have the sets: as others read them, and refused in one line if damaged."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from scipy.io import savemat

from lic.data import voc
from lic.data.camvid import read_camvid
from lic.data.coco import CocoImages, check_masks, read_coco
from lic.data.coco_masks import OVERLAP, draw_mask, read_coco_semantic
from lic.data.imagenet import read_folder_classes, read_imagenet
from lic.data.subset import subset
from lic.data.voc import CLASSES, read_voc_boxes

from .test_readers import needs_real_data, picture, refusal

REAL = Path(os.environ.get("LIC_TEST_DATA", "."))


def make_devkit(root: Path, labels: str = "3\n1\n3\n") -> None:
    """Three flat images and a devkit whose ids 1 .. 3 are not in the order of the WordNet ids."""
    for i in (1, 2, 3):
        picture(root / "val" / f"ILSVRC2012_val_{i:08d}.JPEG")
    data = root / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    kinds = [("ILSVRC2012_ID", "<i4"), ("WNID", "O"), ("words", "O"), ("num_children", "<i4")]
    rows = [(1, "n03", "cat", 0), (2, "n02", "dog", 0), (3, "n01", "tench", 0), (4, "n00", "animal", 3)]
    savemat(data / "meta.mat", {"synsets": np.array(rows, dtype=kinds)[:, None]})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(labels)


def test_flat_imagenet_with_the_devkit(tmp_path: Path) -> None:
    make_devkit(tmp_path)
    labelled = read_imagenet(tmp_path)
    assert [path.name[-6:] for path in labelled.images] == ["1.JPEG", "2.JPEG", "3.JPEG"]
    assert labelled.classes == ["n01", "n02", "n03"] and labelled.labels == [0, 2, 0]
    truth = tmp_path / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("1\n2\n")
    assert refusal(read_imagenet, tmp_path) == f"{truth} has 2 labels for the 3 images in {tmp_path / 'val'}"
    truth.write_text("1\n2\n9\n")
    assert str(truth) in refusal(read_imagenet, tmp_path)
    truth.unlink()
    assert "no labels for the images in" in refusal(read_imagenet, tmp_path)


def test_imagenet_as_kaggle_has_it(tmp_path: Path) -> None:
    for i in (1, 2):
        picture(tmp_path / f"ILSVRC/Data/CLS-LOC/val/v{i}.JPEG")
    solution = tmp_path / "LOC_val_solution.csv"
    solution.write_text("ImageId,PredictionString\nv2,n01 1 2 3 4 n01 5 6 7 8\nv1,n05 1 2 3 4\n")
    labelled = read_imagenet(tmp_path)
    assert [path.stem for path in labelled.images] == ["v1", "v2"]
    assert labelled.labels == [1, 0] and labelled.classes == ["n01", "n05"]
    labelled.images[0].unlink()
    assert refusal(read_imagenet, tmp_path).startswith(f"1 of 2 images in {solution} are missing")
    solution.write_text("a,b\n1,2\n")
    assert str(solution) in refusal(read_imagenet, tmp_path)


def test_part_of_imagenet_keeps_its_order(tmp_path: Path) -> None:
    for name in ("n01484850", "n13054560", ".ipynb_checkpoints"):
        picture(tmp_path / "val" / name / "1.JPEG")
    labelled = read_imagenet(tmp_path)
    assert labelled.labels == [2, 997] and len(labelled.classes) == 1000  # great white shark, bolete
    assert [labelled.classes[label] for label in labelled.labels] == ["n01484850", "n13054560"]


def test_folder_of_classes(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "1.png")
    picture(tmp_path / ".ipynb_checkpoints" / "1.png")
    assert "two classes or more" in refusal(read_folder_classes, tmp_path)
    picture(tmp_path / "bee" / "1.png")
    labelled = read_folder_classes(tmp_path)
    assert labelled.classes == ["bee", "cat"] and labelled.labels == [0, 1]
    (tmp_path / "cat" / "2.jp2").touch()  # whatever `read_image` reads
    (tmp_path / "cat" / "more").symlink_to(tmp_path / "bee")
    assert read_folder_classes(tmp_path).labels == [0, 1, 1, 1]


def test_subsets_are_nested_and_not_the_first() -> None:
    names = [f"{i:06d}.jpg" for i in range(1000)]
    small, large = subset(names, 10), subset(names, 100)
    assert set(small) < set(large) and large == sorted(large) and len(large) == 100
    assert 350 < sum(large) / 100 < 650, "from all of the set"
    assert [names[i] for i in subset(names[::-1], 10)] == [names[i] for i in small][::-1] or {
        names[::-1][i] for i in subset(names[::-1], 10)
    } == {names[i] for i in small}, "whatever the order"
    assert subset(names, None) == subset(names, 5000) == list(range(1000))


XML = """<annotation><size><width>8</width><height>6</height></size>{}</annotation>"""
OBJECT = """<object><name>{}</name><difficult>{}</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def make_voc(root: Path) -> Path:
    base = root / "VOCdevkit/VOC2012"
    objects = [OBJECT.format("person", 0, 1, 1, 4, 3), OBJECT.format("dog", 1, 2, 2, 8, 6)]
    for stem, found in (("a", objects), ("b", [])):
        picture(base / "JPEGImages" / f"{stem}.jpg")
        (base / "Annotations").mkdir(exist_ok=True)
        (base / "Annotations" / f"{stem}.xml").write_text(XML.format("".join(found)))
    (base / "ImageSets/Main").mkdir(parents=True)
    (base / "ImageSets/Main/val.txt").write_text("a\nb\n")
    return base


def test_voc_objects_as_coco(tmp_path: Path) -> None:
    base = make_voc(tmp_path)
    coco = read_voc_boxes(tmp_path)
    assert [path.name for path in coco.images] == ["a.jpg", "b.jpg"] and coco.image_ids == [1, 2]
    person, dog = coco.annotations.loadAnns(coco.annotations.getAnnIds(imgIds=[1]))
    assert person["bbox"] == [0, 0, 4, 3] and person["area"] == 12 and person["ignore"] == person["difficult"] == 0
    assert dog["bbox"] == [1, 1, 7, 5] and dog["ignore"] == dog["difficult"] == 1
    assert [CLASSES[each["category_id"]] for each in (person, dog)] == ["person", "dog"]
    assert coco.annotations.imgs[2]["width"] == 8 and coco.annotations.getAnnIds(imgIds=[2]) == []
    for damage in ("<annotation>", XML.format(OBJECT.format("unicorn", 0, 1, 1, 2, 2)), "<annotation/>"):
        (base / "Annotations/b.xml").write_text(damage)
        assert refusal(read_voc_boxes, tmp_path).startswith(f"{base / 'Annotations/b.xml'} is damaged")
    (base / "Annotations/b.xml").unlink()
    assert refusal(read_voc_boxes, tmp_path).endswith("b.xml")


def box_polygon(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def make_coco(root: Path) -> CocoImages:
    """A person overlapping a dog, a frisbee over the dog, and a crowd of persons."""
    picture(root / "val2017/a.jpg")
    shapes: list[tuple[int, Any]] = [
        (1, box_polygon(0, 0, 4, 3)), (18, box_polygon(3, 0, 8, 3)), (34, box_polygon(5, 0, 8, 1)),
    ]  # fmt: skip
    crowd = np.zeros((6, 8), np.uint8, order="F")
    crowd[5] = 1
    encoded = rle.encode(crowd)
    shapes.append((1, {"size": encoded["size"], "counts": encoded["counts"].decode()}))
    annotations = [
        {"id": i, "image_id": 1, "category_id": category, "segmentation": shape, "bbox": [0, 0, 1, 1], "area": 1,
         "iscrowd": int(isinstance(shape, dict))} for i, (category, shape) in enumerate(shapes, 1)
    ]  # fmt: skip
    names = {1: "person", 18: "dog", 34: "frisbee", 3: "car"}
    (root / "annotations").mkdir()
    (root / "annotations/instances_val2017.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 6}], "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in names.items()],
    }))  # fmt: skip
    return read_coco(root)


def test_coco_masks_drawn_as_torchvision_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "cache"))
    coco = make_coco(tmp_path)
    semantic = read_coco_semantic(tmp_path)
    person, dog = CLASSES.index("person"), CLASSES.index("dog")
    mask = np.array(Image.open(semantic.masks[0]))
    expected = np.zeros((6, 8), np.uint8)
    expected[0:3, 0:4], expected[0:3, 3:8], expected[0:3, 3] = person, dog, OVERLAP
    expected[5] = person  # the frisbee is no class of VOC's: the dog below it stays
    assert np.array_equal(mask, expected) and np.array_equal(mask, draw_mask(coco, 1))
    assert semantic.classes == CLASSES and semantic.ignored == (255,)
    before = semantic.masks[0].stat().st_mtime_ns
    assert read_coco_semantic(tmp_path).masks[0].stat().st_mtime_ns == before, "drawn once"


def test_voc_classes_are_torchvisions() -> None:
    weights = torchvision.models.segmentation.DeepLabV3_ResNet50_Weights.DEFAULT
    assert CLASSES[1:] == tuple(weights.meta["categories"][1:])


def test_coco_json_of_images_that_it_does_not_list(tmp_path: Path) -> None:
    make_coco(tmp_path)
    file = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["image_id"] = 77
    file.write_text(json.dumps(content))
    assert refusal(read_coco, tmp_path) == f"{file} annotates 1 images that it does not list, such as 77"


@pytest.mark.parametrize(("change", "said"), [
    ({"category_id": 5}, "KeyError(5)"), ({"bbox": [1, 2, 3]}, "not enough values"), ({"id": 0}, "number them from 1"),
    ({"id": 2}, "equal ids"), ({"area": None}, "area"), ({"iscrowd": None}, "iscrowd"),
])  # fmt: skip
def test_coco_annotations_that_pycocotools_would_miscount(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    make_coco(tmp_path)
    file = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    changed = {**content["annotations"][0], **change}
    content["annotations"][0] = {name: value for name, value in changed.items() if value is not None}
    file.write_text(json.dumps(content))
    message = refusal(read_coco, tmp_path)
    assert message.startswith(f"{file} is damaged") and said in message


def test_boxes_alone_are_no_masks(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    check_masks(coco)
    for empty in ([], None):
        coco.annotations.dataset["annotations"][1]["segmentation"] = empty
        assert refusal(check_masks, coco).startswith("1 of 4 COCO annotations have no 'segmentation', first id 2")


def test_coco_masks_are_drawn_anew_for_other_annotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "cache"))
    make_coco(tmp_path)
    before = read_coco_semantic(tmp_path).masks[0].read_bytes()
    file = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["segmentation"] = box_polygon(0, 0, 1, 1)
    file.write_text(json.dumps(content))
    assert read_coco_semantic(tmp_path).masks[0].read_bytes() != before


def test_masks_with_names_beside_them(tmp_path: Path) -> None:
    picture(tmp_path / "images/val2017/a.jpg")
    picture(tmp_path / "semantic_masks/val2017/a.png")
    file = tmp_path / "semantic_classes.yaml"
    file.write_text("classes:\n  0: unlabeled\n  1: person\n  3: car\n")
    semantic = read_coco_semantic(tmp_path)
    assert semantic.classes == ("unlabeled", "person", "", "car") and semantic.ignored == (0,)
    assert [path.stem for path in (*semantic.images, *semantic.masks)] == ["a", "a"]
    file.write_text("names: 3\n")
    assert str(file) in refusal(read_coco_semantic, tmp_path)
    file.write_text("classes: {0: a}\n")
    semantic.images[0].unlink()
    assert refusal(read_coco_semantic, tmp_path).startswith("1 of 1 images with masks are missing")


@pytest.mark.parametrize("labels", ["valannot", "val_labels"])
def test_camvid(labels: str, tmp_path: Path) -> None:
    assert "expected val/ and valannot/" in refusal(read_camvid, tmp_path)
    picture(tmp_path / "val/x.png")
    picture(tmp_path / labels / "x.png")
    camvid = read_camvid(tmp_path)
    assert camvid.classes[camvid.ignored[0]] == "unlabelled" and camvid.masks == [tmp_path / labels / "x.png"]
    camvid.masks[0].unlink()
    assert refusal(read_camvid, tmp_path).startswith("1 of 1 masks in")


@needs_real_data
def test_photographs() -> None:
    assert len(read_coco(REAL / "coco128").images) == 127
    masks = read_coco_semantic(REAL / "coco128")
    assert len(masks.images) == 99 and masks.classes[18] == "dog"
    camvid = read_camvid(REAL / "camvid")
    assert len(camvid.images) == 51
    assert (REAL / "camvid/classes.txt").read_text().split() == list(camvid.classes)
    labelled = read_imagenet(REAL / "imagenet378")
    assert len(labelled.images) == 378 and len(set(labelled.labels)) == 378
    pairs = zip(labelled.images, labelled.labels, strict=True)
    assert all(path.name.startswith(labelled.classes[label]) for path, label in pairs)


@pytest.mark.parametrize(("name", "number"), [("dining table", 11), ("Cat", 8), ("TVmonitor", 20)])
def test_voc_classes_however_they_are_spelled(name: str, number: int) -> None:
    assert voc._class_of(name) == number
    with pytest.raises(ValueError, match="class 'unicorn' is none of VOC's: aeroplane"):
        voc._class_of("unicorn")


def test_polygons_without_area_are_taken_out() -> None:
    shapes = {1: [[0, 0, 4, 0, 4, 4], [1, 1, 2, 2]], 2: [[1, 1, 2, 2]], 3: [[]]}
    coco = COCO()
    coco.dataset = {"annotations": [{"id": i, "segmentation": shape} for i, shape in shapes.items()]}
    coco.anns = {each["id"]: each for each in coco.dataset["annotations"]}
    with pytest.raises(ValueError, match=r"2 of 3 COCO annotations have no 'segmentation', first id 2"):
        check_masks(CocoImages([], [], coco))
    assert coco.anns[1]["segmentation"] == [[0, 0, 4, 0, 4, 4]]
