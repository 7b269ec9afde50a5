"""The YAML beside a network's file: what goes in, and what comes out.

    output: yolox boxes          # or class logits, semantic logits, boxes
    input_size: [416, 416]       # height, width
    fit: letterbox               # or resize (both sides), crop (short side to resize_px, then the centre)
    position: top-left           # of the image in a letterbox; or centre
    fill: 114                    # around it, 0 .. 255
    rounding: down               # of its sides; or nearest
    channels: bgr
    scale: 255                   # of white, before mean and std
    classes: [person, bicycle]   # by output index, or a file of one name a line
    renamed: {person: human}     # output class -> the name it is judged by; several may share one

`boxes` are decoded boxes with the scores of all classes, (1, A, 4 + C) or (1, 4 + C, A), as exports of YOLOv8 or
RT-DETR give them, and NanoDet's with its decoding inside; with `nms: inside` (1, A, 6), box, score and class:

    box_form: centre             # x, y, width, height; or corners: left, top, right, bottom
    box_unit: px                 # of the input; or share of its width and height
    has_objectness: false        # true: a score of all classes comes before those of each, and multiplies them
    nms: 0.65                    # intersection over union above which boxes go; none, where none are doubled; inside

`model` and `options` are timm's, for `timm:FILE.safetensors`. Needed are `output` and `input_size`, then `model` there.
"""

import difflib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
import yaml
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from lic.embedded import embedded
from lic.settings import require

Kind = Literal["classification", "detection", "instances", "semantic", "vlm"]
Output = Literal["class logits", "semantic logits", "yolox boxes", "boxes"]
KIND_OF: dict[Output, Kind] = {
    "class logits": "classification", "semantic logits": "semantic", "yolox boxes": "detection",
    "boxes": "detection",
}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What a file of weights does not say of its network; the fields are the YAML's keys."""

    output: Output
    input_size: list[int]
    fit: Literal["resize", "crop", "letterbox"] = "resize"
    resize_px: int | None = None
    position: Literal["top-left", "centre"] = "top-left"
    fill: float = 0.0
    rounding: Literal["nearest", "down"] = "nearest"
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1.0
    mean: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    std: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    classes: list[str] | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    box_form: Literal["corners", "centre"] = "corners"
    box_unit: Literal["px", "share"] = "px"
    has_objectness: bool = False
    nms: float | str = 0.65
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in fields(self):
            choices = get_args(one.type)
            if choices and all(isinstance(choice, str) for choice in choices):
                value = getattr(self, one.name)
                require(value in choices, f"{one.name} is one of {', '.join(choices)}, not {value!r}")
        require(_is_list_of(self.input_size, int, 2) and min(self.input_size) > 0,
                f"input_size is [height, width] in px, not {self.input_size!r}")
        for name in ("mean", "std"):
            require(_is_list_of(getattr(self, name), (int, float), 3),
                    f"{name} is a list of three numbers, not {getattr(self, name)!r}")
        require(0 not in self.std, f"std must not hold 0, got {self.std}")
        for name in ("fill", "scale"):
            require(_is_a(getattr(self, name), (int, float)), f"{name} is a number, not {getattr(self, name)!r}")
        require(self.resize_px is None or (_is_a(self.resize_px, int) and self.resize_px >= max(self.input_size)),
                f"resize_px is at least the longer side of input_size, not {self.resize_px!r}")
        require(self.fit != "crop" or self.output == "class logits",
                f"fit: crop drops pixels that {self.output} should answer for; use resize or letterbox")
        require(self.nms in ("none", "inside") or (_is_a(self.nms, float) and 0 < float(self.nms) < 1),
                f"nms is a number between 0 and 1, none or inside, not {self.nms!r}")
        require(isinstance(self.has_objectness, bool), f"has_objectness is true or false, not {self.has_objectness!r}")
        require(self.classes is None or _is_list_of(self.classes, str),
                "classes is a list of names (quote those that YAML reads otherwise) or a file of one name a line")
        for name in ("renamed", "options"):
            require(isinstance(getattr(self, name), dict), f"{name} is a mapping, not {getattr(self, name)!r}")
        require(not self.renamed or (set(self.renamed) == set(self.classes or []) and self.output != "class logits"),
                "renamed names every one of classes, for semantic logits or boxes")

    def answers(self) -> tuple[tuple[str, ...] | None, list[int] | None]:
        """Return the names of the answers and, where renamed, the answer's index by output index."""
        if not self.renamed or self.classes is None:
            return (tuple(self.classes) if self.classes else None), None
        names = tuple(dict.fromkeys(self.renamed.values()))
        return names, [names.index(self.renamed[name]) for name in self.classes]


class Placement(NamedTuple):
    """Where the image lies in the network's input, in px."""

    top: int
    left: int
    height: int
    width: int


def fit_image(image: Image.Image, description: Description) -> tuple[Tensor, Placement]:
    """Return the network's input (1, 3, *input_size) for an 8-bit RGB image, and where in it the image lies."""
    height, width = description.input_size
    interpolation = functional.InterpolationMode(description.interpolation)
    top = left = 0
    if description.fit == "letterbox":
        ratio = min(height / image.height, width / image.width)
        rounded = round if description.rounding == "nearest" else int
        size = [max(1, rounded(image.height * ratio)), max(1, rounded(image.width * ratio))]
        if description.position == "centre":
            top, left = (height - size[0]) // 2, (width - size[1]) // 2
    elif description.fit == "crop":
        image = functional.resize(image, [description.resize_px or max(height, width)], interpolation)
        image, size = functional.center_crop(image, [height, width]), [height, width]
    else:
        size = [height, width]
    if (image.height, image.width) != tuple(size):
        image = functional.resize(image, size, interpolation)
    page = torch.full((3, height, width), float(description.fill))
    page[:, top : top + size[0], left : left + size[1]] = functional.pil_to_tensor(image)
    if description.channels == "bgr":
        page = page.flip(0)
    mean, std = (torch.tensor(values)[:, None, None] for values in (description.mean, description.std))
    return ((page / 255 * description.scale - mean) / std)[None], Placement(top, left, size[0], size[1])


def read_description(weights: Path) -> Description:
    """Return the description of a file: the YAML of its stem beside it, else in the shipped configs/networks/.

    Raises:
        ValueError: in one line: there is none, or it is not as the module says.
    """
    shipped = embedded("configs/networks")
    candidates = [folder / f"{weights.stem}.yaml" for folder in (weights.parent, shipped)]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise ValueError(f"no {weights.stem}.yaml beside {weights} or in {shipped} says what the network takes and "
                         "gives (output, input_size, fit, mean, std ...); copy one of those there")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    require(isinstance(content, dict), f"{path} holds no settings; expected lines such as 'output: class logits'")
    names = [one.name for one in fields(Description)]
    for key in content:
        near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        require(key in names, f"{path}: key '{key}' is unknown{hint} Choose from: {', '.join(names)}")
    for key in ("output", "input_size"):
        require(key in content, f"{path}: key '{key}' is missing")
    if isinstance(content.get("classes"), str):
        listed = path.parent / content["classes"]
        require(listed.is_file(), f"{path}: classes names no file {listed}")
        content["classes"] = listed.read_text(encoding="utf-8").splitlines()
    try:
        return Description(**content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _is_a(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_list_of(value: object, kind: type | tuple[type, ...], length: int | None = None) -> bool:
    return isinstance(value, list) and length in (None, len(value)) and all(_is_a(item, kind) for item in value)
