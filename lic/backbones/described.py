"""Networks in files of their own, each with a short YAML beside it (FILE.yaml, or configs/networks/ of this project).

    output: class logits            # or: semantic logits; yolox boxes
    input_size: [224, 224]          # height, width
    fit: crop                       # resize; crop: `short_side`, then the middle; letterbox: the rest is `fill`
    short_side: 256
    fill: 114
    interpolation: bicubic          # or bilinear
    channels: rgb                   # or bgr
    range: 1                        # pixels are 0 .. range, then (x - mean) / std
    mean: [0.5, 0.5, 0.5]
    std: [0.5, 0.5, 0.5]
    classes: [background, ...]      # or a file with a name a line; left out for ImageNet's thousand
    renamed: {wall: building}       # classes by another name; those of one name become one (semantic logits)
    model: mobilenetv2_100          # for timm:FILE.safetensors
    options: {pad_type: same}
"""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import timm
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms
from torchvision.transforms.functional import to_pil_image

from lic.backbones.networks import Kind
from lic.backbones.published import PublishedNetwork, imagenet_classes, load_state, read_state
from lic.config import require
from lic.images import to_uint8

Output = Literal["class logits", "semantic logits", "yolox boxes"]
_KIND: dict[Output, Kind] = {
    "class logits": "classification", "semantic logits": "semantic", "yolox boxes": "detection",
}  # fmt: skip
_FILTER = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
STRIDES = (8, 16, 32)
MIN_SCORE, MAX_OVERLAP = 0.001, 0.65
"""YOLOX's own for COCO (github Megvii-BaseDetection/YOLOX, `exps/default`)."""


@dataclass(frozen=True)
class Description:
    """What the YAML says; see above."""

    output: Output
    input_size: list[int]
    fit: Literal["resize", "crop", "letterbox"] = "resize"
    short_side: int | None = None
    fill: float = 0
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    channels: Literal["rgb", "bgr"] = "rgb"
    range: float = 1
    mean: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    std: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    classes: list[str] | str | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("output", "fit", "interpolation", "channels"):
            kind = Output if name == "output" else self.__dataclass_fields__[name].type
            value, choices = getattr(self, name), get_args(kind)
            require(value in choices, f"{name} '{value}' is unknown; choose from: {', '.join(choices)}")
        is_size = len(self.input_size) == 2 and min(self.input_size) > 0
        require(is_size, f"input_size is [height, width], not {self.input_size}")
        require(self.fit != "crop" or self.short_side is not None, "fit: crop needs short_side")
        is_scale = len(self.mean) == len(self.std) == 3 and min(self.std) > 0
        require(is_scale, "mean and std are three numbers each, std above 0")

    def scale(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height to which an image is resized."""
        rows, columns = self.input_size
        if self.fit == "resize":
            return columns, rows
        ratio = min(rows / height, columns / width)
        if self.fit == "crop":
            ratio = (self.short_side or 0) / min(width, height)
        return max(round(width * ratio), 1), max(round(height * ratio), 1)

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the network's input, (3, h, w)."""
        rows, columns = self.input_size
        resized = image.resize(self.scale(*image.size), _FILTER[self.interpolation])
        if self.fit == "crop":
            left, top = round((resized.width - columns) / 2), round((resized.height - rows) / 2)
            resized = resized.crop((left, top, left + columns, top + rows))
        pixels = torch.full((3, rows, columns), float(self.fill))
        pixels[:, : resized.height, : resized.width] = torch.from_numpy(np.array(resized)).permute(2, 0, 1)
        pixels = pixels.flip(0) if self.channels == "bgr" else pixels
        mean, std = (torch.tensor(each)[:, None, None] for each in (self.mean, self.std))
        return (pixels * (self.range / 255) - mean) / std


def read_description(file: Path) -> tuple[Description, tuple[str, ...] | None]:
    """Return what the YAML of a network's file says, and the classes before renaming.

    Raises:
        ValueError: there is none, or it is damaged; in one line.
    """
    shipped = Path(__file__).resolve().parents[2] / "configs" / "networks" / f"{file.stem}.yaml"
    path = next((path for path in (file.with_suffix(".yaml"), shipped) if path.is_file()), None)
    require(path is not None, f"no {file.with_suffix('.yaml')}, which says how {file.name} takes images; "
                              "see lic/backbones/described.py and configs/networks for examples")
    assert path is not None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        description = Description(**content)
        classes = description.classes
        if isinstance(classes, str):
            classes = (path.parent / classes).read_text(encoding="utf-8").split("\n")
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    return description, tuple(name.strip() for name in classes if name.strip()) if classes else None


def read_timm(file: Path, device: torch.device) -> PublishedNetwork:
    """Return a classifier of timm's architecture with the weights of a .safetensors file.

    Raises:
        ValueError: the YAML or the weights do not fit.
    """
    description, classes = read_description(file)
    require(description.model is not None, f"the YAML of {file} names no model of timm's (model: mobilenetv2_100)")
    try:
        network = timm.create_model(str(description.model), pretrained=False, **description.options)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"timm cannot build {description.model} for {file}: {error}") from error
    load_state(network, read_state(file), str(description.model), file)
    names = classes or imagenet_classes(network)
    return PublishedNetwork(file.name.split(".")[0], "classification", network, description, names, device)


class OnnxNetwork:
    """A network through onnxruntime, on the CPU; see `lic.backbones.networks.Network`."""

    def __init__(self, file: Path) -> None:
        import onnxruntime  # only here: most evaluations need none of it

        self.description, names = read_description(file)
        self.name, self.kind = file.stem, _KIND[self.description.output]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common class of their own
            raise ValueError(f"onnxruntime cannot read {file}: {str(error).splitlines()[0]}") from error
        self._input = self._session.get_inputs()[0].name
        words = repr(dataclasses.asdict(self.description)).encode()
        self.fingerprint = hashlib.sha256(file.read_bytes() + words).hexdigest()
        renamed = [self.description.renamed.get(name, name) for name in names or ()]
        self.classes: tuple[str, ...] | None = tuple(dict.fromkeys(renamed)) or None
        if self.kind == "classification" and self.classes is None:
            self.classes = imagenet_classes()
        self._merged = torch.tensor([(self.classes or ()).index(name) for name in renamed], dtype=torch.uint8)

    def __call__(self, image: Tensor) -> list[Any]:
        """Return an answer for each of (N, 3, H, W) images, RGB in [0, 1]."""
        return [self._answer(to_pil_image(to_uint8(each))) for each in image]

    def _answer(self, image: Image.Image) -> Any:
        inputs = self.description(image)[None].contiguous().numpy()
        output = torch.from_numpy(self._session.run(None, {self._input: inputs})[0])
        width, height = self.description.scale(*image.size)
        match self.description.output:
            case "class logits":
                return output[0].flatten()
            case "semantic logits":
                shown = output[:, :, :height, :width] if self.description.fit == "letterbox" else output
                logits = F.interpolate(shown, (image.height, image.width), mode="bilinear", align_corners=False)
                best = logits[0].argmax(0)
                return self._merged[best] if len(self._merged) else best.to(torch.uint8)
            case "yolox boxes":
                scale = torch.tensor([image.width / width, image.height / height] * 2)
                return find_boxes(output[0], self.description.input_size, scale)


def find_boxes(output: Tensor, input_size: list[int], scale: Tensor) -> dict[str, Tensor]:
    """Return the detections in YOLOX's raw output (Ge et al. 2021, arXiv 2107.08430), overlapping ones suppressed.

    Args:
        output: (anchors, 5 + classes): offsets of the centre, logarithms of the sides in strides, then scores.
        input_size: height and width of the network's input.
        scale: (4,), from the input's pixels to the image's.
    """
    points, strides = [], []
    for stride in STRIDES:
        rows, columns = (side // stride for side in input_size)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        points.append(torch.stack((x, y), -1).reshape(-1, 2))
        strides.append(torch.full((rows * columns, 1), stride))
    stride_of = torch.cat(strides)
    centre, size = (output[:, :2] + torch.cat(points)) * stride_of, output[:, 2:4].exp() * stride_of
    best, labels = output[:, 5:].max(1)
    scores = best * output[:, 4]
    boxes = torch.cat((centre - size / 2, centre + size / 2), 1) * scale
    is_likely = scores >= MIN_SCORE
    boxes, scores, labels = boxes[is_likely], scores[is_likely], labels[is_likely]
    kept = batched_nms(boxes, scores, labels, MAX_OVERLAP)
    return {"boxes": boxes[kept], "scores": scores[kept], "labels": labels[kept]}
