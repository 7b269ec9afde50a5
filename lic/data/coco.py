"""COCO's images with its annotations (instances json), or any set laid out so."""

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pycocotools.coco import COCO

if TYPE_CHECKING:
    from lic.data.voc import SemanticImages


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
    """Return the set of `root/split/*.jpg` and `root/annotations/instances_split.json`; `root/coco` is tried too.

    Raises:
        ValueError: in one line, with what was looked for or the first image that is missing.
    """
    base = next((root / name for name in (".", "coco") if (root / name / "annotations").is_dir()), root)
    file, folder = base / "annotations" / f"instances_{split}.json", base / split
    if not file.is_file() or not folder.is_dir():
        raise ValueError(f"no COCO in {root}: expected {split}/ and annotations/instances_{split}.json "
                         "(https://cocodataset.org/#download, CC BY 4.0 annotations)")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            annotations = COCO(str(file))
        image_ids = sorted(annotations.imgs)
        images = [folder / annotations.imgs[image_id]["file_name"] for image_id in image_ids]
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(f"{file} is damaged or no COCO instances json: {error!r}") from error
    if not images:
        raise ValueError(f"{file} lists no image")
    if missing := [path for path in images if not path.exists()]:
        raise ValueError(f"{len(missing)} of {len(images)} images in {file.name} are missing, first {missing[0]}")
    return CocoImages(images, image_ids, annotations)


def read_coco_semantic(root: Path, split: str = "val2017") -> "SemanticImages":
    """Return COCO's semantic masks."""
    raise ValueError(f"no COCO masks in {root} for {split}")
