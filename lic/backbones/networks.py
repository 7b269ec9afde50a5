"""Task networks behind one interface: an image of any size in, answers at the image's own grid out."""

import hashlib
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.backbones.demo import load_demo_classifier, load_demo_detector, load_demo_segmenter

Kind = Literal["classification", "detection", "instances", "semantic"]

DEFAULT: dict[Kind, str] = {
    "classification": "resnet50",
    "detection": "fasterrcnn_resnet50_fpn_v2",
    "instances": "maskrcnn_resnet50_fpn_v2",
    "semantic": "deeplabv3_resnet50",
}


class Network(Protocol):
    """A frozen task network.

    Attributes:
        name: `resnet50`.
        kind: what it answers.
        fingerprint: SHA-256 over weights and preprocessing.
        classes: names by output index; None where they are not known.
    """

    name: str
    kind: Kind
    fingerprint: str
    classes: tuple[str, ...] | None

    def __call__(self, image: Tensor) -> list[Any]:
        """Return an answer for each of (N, 3, H, W) images, RGB in [0, 1].

        classification: logits (C,). detection: {"boxes": (n, 4) x0 y0 x1 y1 in px, "scores": (n,), "labels": (n,)}.
        instances: the same and "masks": (n, H, W) bool. semantic: class by pixel (H, W) uint8.
        """
        ...


class _Demo:
    classes: tuple[str, ...] | None = None

    def __init__(self, kind: Kind, network: nn.Module, device: torch.device) -> None:
        self.name, self.network, self.device = "demo", network.to(device), device
        self.kind: Kind = kind
        state = network.state_dict()
        self.fingerprint = hashlib.sha256(b"".join(state[key].cpu().numpy().tobytes() for key in state)).hexdigest()

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Any]:
        image = image.to(self.device)
        if self.kind == "detection":
            return [{key: value.cpu() for key, value in found.items()} for found in self.network(list(image))]
        logits = self.network(image).float()
        if self.kind == "semantic":
            logits = F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)
            return list(logits.argmax(1).to(torch.uint8).cpu())
        return list(logits.cpu())


def build_network(spec: str, weights: str | None, device: torch.device) -> Network:
    """Return a torchvision or timm network, or `onnx:FILE.onnx`."""
    raise ValueError(f"network '{spec}' is not to be had yet")


def demo_network(kind: Kind, device: torch.device) -> Network:
    """Return the demo world's network of a kind."""
    match kind:
        case "classification":
            return _Demo(kind, load_demo_classifier(), device)
        case "detection":
            return _Demo(kind, load_demo_detector(), device)
        case "semantic":
            return _Demo(kind, load_demo_segmenter(), device)
        case _:
            raise ValueError(f"the demo world has no network for {kind}")
