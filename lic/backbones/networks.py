"""Task networks behind one interface: images of any size in, answers at the images' own grid out.

What a network is called on the command line:

    resnet50, fasterrcnn_resnet50_fpn_v2, ...       torchvision's, by their names there
    mobilenetv2_100, timm:resnet50, ...             timm's classifiers; `timm:` where torchvision has the name too
    timm:FILE.safetensors                           one that a YAML describes (described.py)
    onnx:FILE.onnx                                  the same, through onnxruntime
"""

import difflib
import hashlib
from pathlib import Path
from typing import Any, Literal, Protocol

import timm
import torch
import torchvision
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
        name: as people call it, such as `resnet50`.
        kind: what it answers.
        fingerprint: SHA-256 over weights and preprocessing.
        classes: names by output index; None where they are not known.
    """

    name: str
    kind: Kind
    fingerprint: str
    classes: tuple[str, ...] | None

    def __call__(self, image: Tensor) -> list[Any]:
        """Return an answer for each of (N, 3, H, W) images, RGB in [0, 1], on the CPU.

        classification: logits (C,). detection: {"boxes": (n, 4) x0 y0 x1 y1 in px, "scores": (n,), "labels": (n,)}.
        instances: the same and "masks": (n, H, W) bool. semantic: class by pixel (H, W) uint8.
        """
        ...


def build_network(spec: str, weights: str | None, device: torch.device) -> Network:
    """Return a network with its published weights, or with local ones.

    Args:
        spec: see above.
        weights: a .pth or .safetensors file of torchvision's or timm's names; None: the published ones.
        device: where it runs; onnxruntime's run on the CPU.

    Raises:
        ValueError: in one line: nobody has such a network, or its weights are missing or another's.
    """
    from lic.backbones import described, published  # they build on what is here

    kind, _, name = spec.rpartition(":")
    if kind == "onnx":
        return described.OnnxNetwork(_existing(name))
    if kind == "timm" and name.endswith(".safetensors"):
        return described.read_timm(_existing(name), device)
    file = _existing(weights) if weights else None
    if kind == "timm" and name in timm.list_models():
        return published.build_timm(name, file, device)
    if not kind and name in torchvision.models.list_models():
        return published.build_torchvision(name, file, device)
    if not kind and name in timm.list_models():
        return published.build_timm(name, file, device)
    known = [*torchvision.models.list_models(), *timm.list_models()]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"network '{spec}' is unknown{hint} (torchvision's and timm's names, onnx:FILE.onnx)")


def demo_network(kind: Kind, device: torch.device) -> Network:
    """Return the demo world's network of a kind; its classes are the shapes, by the ids of the demo's annotations."""
    match kind:
        case "classification":
            return _Demo(kind, load_demo_classifier(), device)
        case "detection":
            return _Demo(kind, load_demo_detector(), device)
        case "semantic":
            return _Demo(kind, load_demo_segmenter(), device)
        case _:
            raise ValueError(f"the demo world has no network for {kind}")


def fingerprint_of(network: nn.Module, preprocessing: str) -> str:
    """Return a SHA-256 over weights, buffers and the words that describe the preprocessing."""
    digest = hashlib.sha256(preprocessing.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


class _Demo:
    classes: tuple[str, ...] | None = None

    def __init__(self, kind: Kind, network: nn.Module, device: torch.device) -> None:
        self.name, self.network, self.device = "demo", network.to(device), device
        self.kind: Kind = kind
        self.fingerprint = fingerprint_of(network, "demo")

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Any]:
        image = image.to(self.device)
        if self.kind == "detection":
            return [{key: value.cpu() for key, value in found.items()} for found in self.network(list(image))]
        logits = self.network(image).float()
        return list(logits.argmax(1).to(torch.uint8).cpu() if self.kind == "semantic" else logits.cpu())
