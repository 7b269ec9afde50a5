"""Networks in ONNX files, run by onnxruntime on the processor, with a YAML beside them (lic/backbones/description.py).

    network = OnnxNetwork(Path("yolox_nano_coco80_416.onnx"))
    network(image)[0]["boxes"]
"""

import copy
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms
from torchvision.transforms.functional import to_pil_image

from lic.backbones.description import KIND_OF, Description, Placement, fit_image, read_description

YOLOX_STRIDES = (8, 16, 32)
# Those of YOLOX's own COCO evaluation: Megvii-BaseDetection/YOLOX, yolox/exp/yolox_base.py, Apache-2.0
YOLOX_MIN_SCORE, YOLOX_NMS_IOU = 0.001, 0.65


class OnnxNetwork:
    """A network of `lic.backbones.networks` in an ONNX file; images go through it one by one.

    Raises:
        ValueError: in one line: no or a wrong YAML, not ONNX, or input and output are not what the YAML says.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ValueError(f"no ONNX file at {path}")
        self.name = path.stem
        self.description = read_description(path)
        self.kind = KIND_OF[self.description.output]
        self.classes, self._renamed = self.description.answers()
        content = path.read_bytes()
        self.fingerprint = hashlib.sha256(content + repr(self.description).encode()).hexdigest()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.log_severity_level = 3  # errors; exporters leave shapes that it warns of at each image
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            self.input_name = self.session.get_inputs()[0].name
            output = self._run(torch.zeros(1, 3, *self.description.input_size))
        except Exception as error:  # onnxruntime raises classes of its own
            raise ValueError(f"{path} cannot be run as {self.name}.yaml describes it: "
                             f"{' '.join(str(error).split())[:300]}") from error
        _check_output(path, tuple(output.shape), self.description)

    def _run(self, page: Tensor) -> Tensor:
        return torch.from_numpy(self.session.run(None, {self.input_name: page.contiguous().numpy()})[0])

    def __call__(self, image: Tensor) -> list[Any]:
        """Return the answer for each of (N, 3, H, W) images, RGB in [0, 1]; see `lic.backbones.networks.Network`."""
        return [self._answer(one) for one in image]

    def uncut(self, side_px: int) -> "OnnxNetwork":
        """Return the network without resizing and cropping, if its input has this side; see `Network`."""
        if self.description.input_size != [side_px, side_px]:
            sides = " x ".join(map(str, self.description.input_size))
            raise ValueError(f"network {self.name} takes pictures of {sides}, not of {side_px} x {side_px} as they "
                             "are; choose one of any size, such as timm:FILE.safetensors")
        other = copy.copy(self)
        other.description = replace(self.description, fit="resize", resize_px=None)
        other.fingerprint = f"{self.fingerprint} uncut"
        return other

    def _answer(self, image: Tensor) -> Any:
        page, placement = fit_image(to_pil_image((image.clamp(0, 1) * 255).round().byte()), self.description)
        output = self._run(page)
        size = (int(image.shape[-2]), int(image.shape[-1]))
        match self.description.output:
            case "class logits":
                return output.flatten().float()
            case "semantic logits":
                classes = _classes_by_pixel(output, page, placement, size)
                return self._rename(classes)
            case "yolox boxes":
                found = _decode_yolox(output[0], self.description.input_size, placement, size)
                return {**found, "labels": self._rename(found["labels"])}
            case "boxes":
                found = _read_boxes(output[0], self.description, placement, size)
                return {**found, "labels": self._rename(found["labels"])}

    def _rename(self, classes: Tensor) -> Tensor:
        """Return the answers' indices for output indices of any shape."""
        return classes if self._renamed is None else torch.tensor(self._renamed, dtype=classes.dtype)[classes.long()]


def _classes_by_pixel(logits: Tensor, page: Tensor, placement: Placement, size: tuple[int, int]) -> Tensor:
    """Return (H, W) uint8: logits at the input's size, without its padding, at the image's size, the largest."""
    top, left, height, width = placement
    if logits.shape[-2:] != page.shape[-2:]:
        logits = F.interpolate(logits, page.shape[-2:], mode="bilinear", align_corners=False)
    logits = logits[..., top : top + height, left : left + width]
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)[0].argmax(0).to(torch.uint8)


def _decode_yolox(
    output: Tensor, input_size: list[int], placement: Placement, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Return boxes in the image's pixels, scores and labels of a YOLOX output (A, 5 + C) that is not decoded yet.

    Ge et al. 2021, https://arxiv.org/abs/2107.08430: centre = (x, y + cell) * stride, size = exp(w, h) * stride, score
    = objectness * class, both already through the sigmoid; each cell answers with its best class.
    """
    cells, strides = _yolox_cells(input_size)
    centre, extent = (output[:, :2] + cells) * strides, output[:, 2:4].exp() * strides
    top, left = placement.top, placement.left
    boxes = torch.cat([centre - extent / 2, centre + extent / 2], 1) - torch.tensor([left, top, left, top])
    # as YOLOX does, by the ratio before the sides were rounded
    boxes = boxes / min(input_size[0] / size[0], input_size[1] / size[1])
    best, labels = output[:, 5:].max(1)
    scores = best * output[:, 4]
    is_kept = scores >= YOLOX_MIN_SCORE
    boxes, scores, labels = boxes[is_kept], scores[is_kept], labels[is_kept]
    kept = batched_nms(boxes, scores, labels, YOLOX_NMS_IOU)
    return {"boxes": boxes[kept], "scores": scores[kept], "labels": labels[kept]}


def _read_boxes(
    output: Tensor, description: Description, placement: Placement, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Return boxes in the image's pixels, scores and labels of decoded boxes, one row or one column each."""
    output = _rows(output.float(), description)
    boxes = output[:, :4]
    if description.nms == "inside":
        scores, labels = output[:, 4], output[:, 5].long()
    else:
        scores, labels = output[:, 4 + description.has_objectness :].max(1)
        scores = scores * output[:, 4] if description.has_objectness else scores
    if description.box_form == "centre":
        boxes = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    if description.box_unit == "share":
        boxes = boxes * torch.tensor(description.input_size[::-1] * 2)
    top, left, height, width = placement
    corner, ratio = torch.tensor([left, top, left, top]), torch.tensor([size[1] / width, size[0] / height] * 2)
    boxes = (boxes - corner) * ratio
    is_kept = scores >= YOLOX_MIN_SCORE
    boxes, scores, labels = boxes[is_kept], scores[is_kept], labels[is_kept]
    if not isinstance(description.nms, str):
        kept = batched_nms(boxes, scores, labels, description.nms)
        boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
    return {"boxes": boxes, "scores": scores, "labels": labels}


def _rows(output: Tensor, description: Description) -> Tensor:
    """Return (A, 4 + C) for that or its transpose: by the number of classes, else the longer side is A."""
    if description.nms == "inside":
        return output
    columns = 4 + description.has_objectness + len(description.classes or [])
    is_turned = output.shape[0] == columns if description.classes else output.shape[0] < output.shape[1]
    return output.T if is_turned and output.shape[1] != columns else output


def _yolox_cells(input_size: list[int]) -> tuple[Tensor, Tensor]:
    """Return the cells' corners (A, 2) as x, y and their strides (A, 1), the finest first."""
    cells, strides = [], []
    for stride in YOLOX_STRIDES:
        rows, columns = torch.meshgrid(*(torch.arange(side // stride) for side in input_size), indexing="ij")
        cells.append(torch.stack([columns, rows], -1).reshape(-1, 2))
        strides.append(torch.full((len(cells[-1]), 1), stride))
    return torch.cat(cells), torch.cat(strides)


def _check_output(path: Path, shape: tuple[int, ...], description: Description) -> None:
    """Compare the output's shape on one image with the description."""
    count = len(description.classes) if description.classes else None
    match description.output:
        case "class logits":
            is_met, expected = len(shape) == 2 and count in (None, shape[1]), f"(1, {count or 'C'})"
        case "semantic logits":
            is_met, expected = len(shape) == 4 and count in (None, shape[1]), f"(1, {count or 'C'}, h, w)"
        case "yolox boxes":
            cells = len(_yolox_cells(description.input_size)[0])
            columns = None if count is None else 5 + count
            is_met = len(shape) == 3 and shape[1] == cells and shape[2] > 5 and columns in (None, shape[2])
            expected = f"(1, {cells}, {columns or '5 + C'})"
        case "boxes" if description.nms == "inside":
            is_met, expected = len(shape) == 3 and shape[2] == 6, "(1, A, 6)"
        case "boxes":
            columns = None if count is None else 4 + description.has_objectness + count
            is_met = len(shape) == 3 and (columns is None or columns in shape[1:])
            expected = f"(1, A, {columns or '4 + C'}) or (1, {columns or '4 + C'}, A)"
    if not is_met:
        raise ValueError(f"{path} gives {shape}, but {description.output} with {path.stem}.yaml's input_size and "
                         f"classes are {expected}")
