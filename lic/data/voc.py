"""PASCAL VOC's segmentation and detection sets, or any set laid out so."""

import contextlib
import io
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from pycocotools.coco import COCO

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
    base, stems = _read_listing(root, "Segmentation", split)
    images = [_image(base / "JPEGImages", stem) for stem in stems]
    masks = [base / "SegmentationClass" / f"{stem}.png" for stem in stems]
    _check_present([*images, *masks], base)
    return SemanticImages(images, masks, CLASSES, (255,))


def read_voc_boxes(root: Path, split: str = "val") -> CocoImages:
    """Return the objects of `Annotations/*.xml` as COCO annotations: category ids 1 .. 20, `difficult` ones ignored.

    VOC's corners are pixels counted from 1, both inside: COCO's left is xmin - 1 and its width xmax - xmin + 1.

    Raises:
        ValueError: in one line, with what was looked for, the first file that is missing, or what it does not say.
    """
    base, stems = _read_listing(root, "Main", split)
    images = [_image(base / "JPEGImages", stem) for stem in stems]
    files = [base / "Annotations" / f"{stem}.xml" for stem in stems]
    _check_present([*images, *files], base)
    content: dict[str, Any] = {
        "images": [], "annotations": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES) if i > 0],
    }  # fmt: skip
    for image_id, (image, file) in enumerate(zip(images, files, strict=True), 1):
        try:
            _add(content, image_id, image.name, ElementTree.parse(file).getroot())
        except (ElementTree.ParseError, ValueError, TypeError) as error:
            raise ValueError(f"{file} is damaged or no VOC annotation: {error}") from error
    annotations = COCO()
    annotations.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        annotations.createIndex()
    return CocoImages(images, list(range(1, len(images) + 1)), annotations)


def _add(content: dict[str, Any], image_id: int, name: str, xml: ElementTree.Element) -> None:
    """Add an image and its objects to a COCO json's content."""
    width, height = (int(xml.findtext(f"size/{side}", "")) for side in ("width", "height"))
    content["images"].append({"id": image_id, "file_name": name, "width": width, "height": height})
    for item in xml.iterfind("object"):
        left, top, right, bottom = (float(item.findtext(f"bndbox/{side}", "")) for side in
                                    ("xmin", "ymin", "xmax", "ymax"))  # fmt: skip
        is_difficult = int(item.findtext("difficult") or 0)
        box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
        content["annotations"].append({
            "id": len(content["annotations"]) + 1, "image_id": image_id, "bbox": box, "area": box[2] * box[3],
            "category_id": _class_of(item.findtext("name", "")), "iscrowd": 0,
            "difficult": is_difficult, "ignore": is_difficult,
        })  # fmt: skip


def _class_of(name: str) -> int:
    """Return the id of a class, however it is spaced and in whatever case: sets come from many tools."""
    plain = "".join(name.lower().split())
    if plain not in CLASSES[1:]:
        raise ValueError(f"class '{name}' is none of VOC's: {', '.join(CLASSES[1:])}")
    return CLASSES.index(plain)


def _read_listing(root: Path, kind: str, split: str) -> tuple[Path, list[str]]:
    names = (".", "VOC2012", "VOCdevkit/VOC2012")
    base = next((root / name for name in names if (root / name / "ImageSets").is_dir()), None)
    listing = base / "ImageSets" / kind / f"{split}.txt" if base else None
    if base is None or listing is None or not listing.is_file():
        raise ValueError(f"no VOC in {root}: expected VOCdevkit/VOC2012/ImageSets/{kind}/{split}.txt "
                         "(http://host.robots.ox.ac.uk/pascal/VOC/voc2012; `python -m lic download voc2012`)")
    stems = listing.read_text().split()
    if not stems:
        raise ValueError(f"{listing} lists no image")
    return base, stems


def _image(folder: Path, stem: str) -> Path:
    png = folder / f"{stem}.png"  # the demo scenes'; VOC's own are JPEG
    return png if png.exists() else folder / f"{stem}.jpg"


def _check_present(paths: list[Path], base: Path) -> None:
    if missing := [path for path in paths if not path.exists()]:
        raise ValueError(f"{len(missing)} files listed in {base / 'ImageSets'} are missing, the first is {missing[0]}")
