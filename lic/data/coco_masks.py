"""COCO's classes by pixel: given as PNG files, or drawn of its instances as torchvision does."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from lic.data.coco import CocoImages, check_masks, read_coco
from lic.data.voc import CLASSES, SemanticImages
from lic.demo.scenes import made_once

OVERLAP = 255
COCO_NAMES = {"aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv",
              "diningtable": "dining table", "pottedplant": "potted plant"}  # fmt: skip
"""Of VOC's classes that COCO calls otherwise."""


def read_coco_semantic(root: Path, split: str = "val2017") -> SemanticImages:
    """Return `root/images/split` with the masks of `root/semantic_masks/split`, or COCO with VOC's classes drawn.

    The former's ids are named in `root/semantic_classes.yaml` (`classes: {0: unlabeled, 1: person, ...}`, 0 is not
    judged). Of the latter's instances the 20 classes of VOC are drawn, as torchvision judges its segmenters
    (references/segmentation/coco_utils.py): pixels of several instances are not judged. The masks are drawn once, into
    `$LIC_CACHE`.

    Raises:
        ValueError: in one line, with what was looked for or the first file that is missing.
    """
    if (root / "semantic_masks" / split).is_dir():
        return _read_masks(root, split)
    coco = read_coco(root, split)
    check_masks(coco)
    folder = _drawn_masks(coco)
    masks = [folder / f"{image_id}.png" for image_id in coco.image_ids]
    return SemanticImages(coco.images, masks, CLASSES, (OVERLAP,))


def _read_masks(root: Path, split: str) -> SemanticImages:
    masks = sorted((root / "semantic_masks" / split).glob("*.png"))
    images = [root / "images" / split / f"{mask.stem}.jpg" for mask in masks]
    file = root / "semantic_classes.yaml"
    try:
        names: dict[int, str] = yaml.safe_load(file.read_text(encoding="utf-8"))["classes"]
        classes = tuple(names.get(i, "") for i in range(max(names) + 1))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} does not name the masks' classes: {error!r}") from error
    if not masks:
        raise ValueError(f"{root / 'semantic_masks' / split} holds no mask")
    if missing := [path for path in images if not path.exists()]:
        raise ValueError(f"{len(missing)} of {len(images)} images with masks are missing, first {missing[0]}")
    return SemanticImages(images, masks, classes, (0,))


def _drawn_masks(coco: CocoImages) -> Path:
    """Return the folder of the masks, drawn first if it is missing."""
    content = json.dumps(coco.annotations.dataset).encode()

    def write(folder: Path) -> None:
        for image_id in track(coco.image_ids, "drawing COCO's masks", transient=True):
            Image.fromarray(draw_mask(coco, image_id)).save(folder / f"{image_id}.png")

    return made_once(f"coco-masks-{hashlib.sha256(content).hexdigest()[:16]}", write)


def draw_mask(coco: CocoImages, image_id: int) -> NDArray[np.uint8]:
    """Return VOC's class by pixel, (H, W), of an image's instances; OVERLAP where several lie."""
    entry: dict[str, Any] = coco.annotations.imgs[image_id]
    ids = {each["name"]: each["id"] for each in coco.annotations.cats.values()}
    indexes = {ids.get(COCO_NAMES.get(name, name)): i for i, name in enumerate(CLASSES)}
    mask = np.zeros((entry["height"], entry["width"]), np.uint8)
    count = np.zeros_like(mask, np.uint16)
    for instance in coco.annotations.imgToAnns[image_id]:
        if (index := indexes.get(instance["category_id"])) is not None:
            inside = coco.annotations.annToMask(instance).astype(bool)
            mask[inside] = index
            count[inside] += 1
    mask[count > 1] = OVERLAP
    return mask
