"""Samples for the report's viewer: decoded images and what the networks saw in them.

`eval.py` writes them beside its results files:

    samples/classes.json                              {"coco-det": {"1": "circle"}}: names by id, for each task
    samples/original/STEM.png, STEM.json              {"tasks": {"coco-det": prediction}}
    samples/CODEC-DISTORTION/lmbda-0.01/STEM.png, STEM.json   {"bpp": 0.21, "qualities": {"psnr": 27.1}, "tasks": {...}}
    samples/CODEC-LABEL-seed1/lmbda-0.01/...                    the same: with a label, and one of several seeds
    samples/jpeg/q10/...                                        the same

Predictions are as in `lic/tasks/task.py`. Here they become what a browser can show: images as data URIs, boxes, and
masks as transparent pictures. The viewer gets as many images, at most `MAX_IMAGES`, as `MAX_BYTES` hold.
"""

import base64
import colorsys
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from lic.curves.comparison import setting
from lic.curves.results import Results, prediction_text, task_of

MAX_IMAGES = 8
MAX_BYTES = 16_000_000
"""Of data URIs in a section; the first image is shown whatever it takes."""

MAX_PX = 768
"""Longer side of the images shown; larger ones are shrunk, smaller ones are shown losslessly."""

MIN_SCORE = 0.5
"""Boxes and masks of detections below it are not drawn."""

_BACKGROUND = ("background", "__background__", "void", "unlabelled")
_MASK_OPACITY = 120

Names = dict[str, str]
"""Class names by id, the id as text."""


class Layer(NamedTuple):
    """One network's prediction on one image."""

    boxes: list[tuple[list[float], str, str]]
    """Left, top, width and height in the image's pixels; class and score; colour."""
    mask: str
    """A transparent picture of the image's size as a data URI; empty if there is none."""
    text: str
    """A classifier's answer; empty for other networks."""


class View(NamedTuple):
    """One image as one codec shows it; the original has neither rate nor setting."""

    source: str
    setting: str
    bpp: float | None
    psnr_db: float | None
    picture: str
    layers: dict[str, Layer]
    """By task or `task@network`."""


class Sample(NamedTuple):
    """One image as every codec shows it."""

    stem: str
    width: int
    height: int
    is_shrunk: bool
    views: list[View]
    """The original first, then each codec's operating points."""


def read_samples(results: Sequence[tuple[Results, Path, str]]) -> tuple[list[Sample], int]:
    """Return the images that fit into the page, and how many there are; none where there are no samples.

    Args:
        results: codecs on one dataset, each with the folder of its file and the name to show it by.

    Raises:
        ValueError: a sample is damaged.
    """
    folders = list(dict.fromkeys(folder / "samples" for _, folder, _ in results))
    originals = {path.stem: path for folder in folders for path in sorted((folder / "original").glob("*.png"))}
    samples: list[Sample] = []
    num_bytes = 0
    for stem, original in sorted(originals.items())[:MAX_IMAGES]:
        try:
            sample = _read_sample(stem, original, results)
        except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            message = f"sample '{stem}' in '{original.parent.parent}' is damaged: {type(error).__name__}: {error}"
            raise ValueError(f"{message}; write it anew with eval.py, or remove the folder") from error
        num_bytes += sum(
            len(view.picture) + sum(len(layer.mask) for layer in view.layers.values()) for view in sample.views
        )
        if samples and num_bytes > MAX_BYTES:
            break
        samples.append(sample)
    return samples, len(originals)


class Setting(Protocol):
    """What tells the operating points of a curve apart: of a `Point`, or of what codes it."""

    @property
    def lmbda(self) -> float | None: ...
    @property
    def quality(self) -> int | None: ...
    @property
    def scale_percent(self) -> int | None: ...


def setting_folder(point: Setting) -> str:
    """Return the name of the folder with an operating point's samples."""
    scale = f"-{point.scale_percent}" if point.scale_percent else ""
    return f"q{point.quality}{scale}" if point.lmbda is None else f"lmbda-{point.lmbda:g}"


def _read_sample(stem: str, original: Path, results: Sequence[tuple[Results, Path, str]]) -> Sample:
    with Image.open(original) as image:
        width, height = image.size
    views = [_read_view("original", "", original, original.parent.parent)]
    for each, folder, name in results:
        own, shared = (folder / "samples" / stem for stem in (each.curve.stem_with_seed, each.curve.stem))
        codec = own if own.is_dir() else shared
        for point in each.points:
            path = codec / setting_folder(point) / f"{stem}.png"
            if path.is_file():
                views.append(_read_view(name, setting(point), path, folder / "samples"))
    return Sample(stem, width, height, max(width, height) > MAX_PX, views)


def _read_view(source: str, setting: str, path: Path, samples: Path) -> View:
    content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    classes_file = samples / "classes.json"
    classes = json.loads(classes_file.read_text(encoding="utf-8")) if classes_file.is_file() else {}
    with Image.open(path) as image:
        picture = _picture(image.convert("RGB"))
        layers = {
            task: _layer(prediction, classes.get(task, classes.get(task_of(task), {})), image.size)
            for task, prediction in content.get("tasks", {}).items()
        }
    psnr_db = content.get("qualities", {}).get("psnr", content.get("psnr_db"))  # the latter before 2026-11-26
    return View(source, setting, content.get("bpp"), psnr_db, picture, layers)


def _layer(prediction: Any, names: Names, size: tuple[int, int]) -> Layer:
    if isinstance(prediction, dict) and "top5" in prediction:
        return Layer([], "", ", ".join(_name(names, index) for index in prediction["top5"][:3]))
    if isinstance(prediction, dict) and "png" in prediction:
        return Layer([], _semantic_mask(prediction["png"], names), "")
    if not isinstance(prediction, list) or not all(isinstance(each, dict) and "score" in each for each in prediction):
        return Layer([], "", prediction_text(prediction))
    found = [each for each in prediction if each["score"] >= MIN_SCORE]
    boxes = [
        (
            [round(float(value), 1) for value in each["bbox"]],
            f"{_name(names, each['category_id'])} {each['score']:.2f}",
            "#{:02x}{:02x}{:02x}".format(*_colour(each["category_id"])),
        )
        for each in found
    ]
    masks = [(each["category_id"], each["segmentation"]) for each in found if "segmentation" in each]
    return Layer(boxes, _instance_mask(masks, size) if masks else "", "")


def _semantic_mask(png: str, names: Names) -> str:
    ids = np.array(Image.open(io.BytesIO(base64.b64decode(png))))
    shown = np.zeros((*ids.shape, 4), np.uint8)
    for index in np.unique(ids):
        is_background = _name(names, index) in _BACKGROUND or (index == 0 and "0" not in names) or index == 255
        if not is_background:
            shown[ids == index] = (*_colour(int(index)), _MASK_OPACITY)
    return _picture(Image.fromarray(shown))


def _instance_mask(masks: list[tuple[int, Any]], size: tuple[int, int]) -> str:
    shown = np.zeros((size[1], size[0], 4), np.uint8)
    for category, rle in masks:
        inside: NDArray[np.bool_] = coco_mask.decode(rle).astype(bool)
        shown[inside] = (*_colour(category), _MASK_OPACITY)
    return _picture(Image.fromarray(shown))


def _name(names: Names, index: int) -> str:
    return names.get(str(index), str(index))


def _colour(index: int) -> tuple[int, int, int]:
    """Return a bright colour that depends on the class alone; the golden ratio sets neighbours far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.6180339887 % 1, 0.85, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _picture(image: Image.Image) -> str:
    """Return a data URI of lossless WebP, of images that are too large after shrinking them."""
    image.thumbnail((MAX_PX, MAX_PX))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=20, method=1)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
