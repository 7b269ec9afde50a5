"""COCO's images with its annotations (instances json), or any set laid out so."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from pycocotools.coco import COCO


class CocoImages(NamedTuple):
    """Images and their annotations.

    Attributes:
        images: one path per image, by image id.
        image_ids: COCO's ids.
        annotations: pycocotools' index of the json.
    """

    images: list[Path]
    image_ids: list[int]
    annotations: COCO


def read_coco(root: Path, split: str = "val2017") -> CocoImages:
    """Return the set of `root/split/*.jpg` and `root/annotations/instances_split.json`.

    `root/coco` is tried too, and `images/split` with `boxes_coco_split.json`.

    Raises:
        ValueError: in one line, with what was looked for or the first image that is missing.
    """
    folder, file = find_coco(root, split)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            annotations = COCO(str(file))
        image_ids = sorted(annotations.imgs)
        images = [folder / annotations.imgs[image_id]["file_name"] for image_id in image_ids]
        strangers = {each["image_id"] for each in annotations.anns.values()} - annotations.imgs.keys()
        _check_annotations(annotations)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(f"{file} is damaged or no COCO instances json: {error!r}") from error
    if not images:
        raise ValueError(f"{file} lists no image")
    if strangers:
        raise ValueError(f"{file} annotates {len(strangers)} images that it does not list, such as {min(strangers)}")
    if missing := [path for path in images if not path.exists()]:
        raise ValueError(f"{len(missing)} of {len(images)} images in {file.name} are missing, first {missing[0]}")
    return CocoImages(images, image_ids, annotations)


def _check_annotations(coco: COCO) -> None:
    """Raise unless pycocotools would count each annotation once, in a category that has a name."""
    found = coco.dataset["annotations"]
    for each in coco.imgs.values():
        _ = each["width"], each["height"]
    for each in found:
        _, _, _, _ = each["bbox"]
        _ = each["area"], each["iscrowd"], coco.cats[each["category_id"]]["name"]
    if len(coco.anns) != len(found):
        raise ValueError("annotations with equal ids")
    if 0 in coco.anns:  # COCOeval writes 0 for 'unmatched'
        raise ValueError("an annotation has the id 0, which pycocotools never counts as found; number them from 1")


def check_masks(coco: CocoImages) -> None:
    """Raise ValueError unless every object has a mask; files with boxes alone are common.

    Polygons of fewer than three points are taken out: they have no area, and four numbers are a box to pycocotools.
    """
    lacking = []
    for each in coco.annotations.dataset["annotations"]:
        if isinstance(shapes := each.get("segmentation"), list):
            each["segmentation"] = [shape for shape in shapes if len(shape) >= 6 and len(shape) % 2 == 0]
        if not each.get("segmentation"):
            lacking.append(each["id"])
    if lacking:
        raise ValueError(f"{len(lacking)} of {len(coco.annotations.anns)} COCO annotations have no 'segmentation', "
                         f"first id {lacking[0]}; mask AP needs them, box AP (coco-det) does not")


def find_coco(root: Path, split: str = "val2017") -> tuple[Path, Path]:
    """Return the folder of images and the file of annotations.

    Raises:
        ValueError: there are none; the message says what was looked for.
    """
    layouts = [(base / split, base / "annotations" / f"instances_{split}.json") for base in (root, root / "coco")]
    layouts.append((root / "images" / split, root / f"boxes_coco_{split}.json"))
    for folder, file in layouts:
        if folder.is_dir() and file.is_file():
            return folder, file
    raise ValueError(f"no COCO in {root}: expected {split}/ and annotations/instances_{split}.json "
                     "(https://cocodataset.org/#download, CC BY 4.0 annotations; `python -m lic download coco-val`)")
