"""Answers in the pixels of the file, where a network was shown its picture at another size.

Labels are in the file's pixels. A protocol (lic/evaluation/protocols.py) may show the whole picture larger or smaller;
boxes are then scaled, and masks and classes by pixel resized to the nearest, as Detectron2 brings its answers back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lic.backbones.networks import Network
from lic.images import image_size

Size = tuple[int, int]
"""Height and width in px."""


def answers_in_files(network: Network, images: Tensor, paths: Sequence[Path], is_resized: bool) -> list[Any]:
    """Return a network's answers on pictures (N, 3, H, W) in the pixels of the files.

    Args:
        network: not a classifier.
        images: whole pictures.
        paths: of their files.
        is_resized: whether pictures may have other sizes than their files, which are then looked up.
    """
    answers = network(images)
    if not is_resized:
        return answers
    shown = (images.shape[-2], images.shape[-1])
    return [_placed(answer, shown, image_size(path)) for answer, path in zip(answers, paths, strict=True)]


def _placed(answer: Any, shown: Size, size: Size) -> Any:
    if isinstance(answer, Tensor):  # classes by pixel
        return _nearest(answer[None], size)[0]
    scale = torch.tensor([size[1] / shown[1], size[0] / shown[0]] * 2)
    placed = {**answer, "boxes": answer["boxes"].float() * scale}
    return {**placed, "masks": _nearest(answer["masks"], size)} if "masks" in answer else placed


def _nearest(planes: Tensor, size: Size) -> Tensor:
    """Return planes (n, H, W) of ids or of true and false at another size."""
    resized: Tensor = F.interpolate(planes[None].to(torch.uint8), size, mode="nearest-exact")[0].to(planes.dtype)
    return resized
