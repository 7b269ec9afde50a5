"""Frozen networks that judge images: torchvision's and timm's by name, ONNX files, and the demo world's.

    network = build_network("onnx:yolox_nano_coco80_416.onnx", None, torch.device("cpu"))
    network(image)[0]["boxes"]

`hf:NAME` and `hf:FOLDER` are vision-language models, through transformers (lic/backbones/vlm.py).

A name that torchvision and timm share is torchvision's; `timm:resnet50` is timm's. `timm:FILE.safetensors` and
`onnx:FILE.onnx` are described by a YAML of the same stem (lic/backbones/description.py). `demo:vit` is one of the demo
world's: its default `classifier`, `detector`, `segmenter` and `reader`, or one of another family.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import timm
import torch
from torch import Tensor, nn
from torchvision.models import list_models

from lic.backbones.description import Kind
from lic.backbones.onnx import OnnxNetwork
from lic.backbones.published import TorchNetwork, build_timm, build_timm_file, build_torchvision, check_name
from lic.backbones.vlm import build_vlm, weights_digest
from lic.demo.networks import load_demo_classifier, load_demo_detector, load_demo_segmenter
from lic.demo.other_networks import VoterName, load_voter
from lic.demo.reader import load_scene_reader, to_answer, to_words

__all__ = ["NOUN", "Kind", "Network", "build_network", "demo_network"]

NOUN: dict[Kind, str] = {
    "classification": "a classifier",
    "detection": "a detector",
    "instances": "an instance segmenter",
    "semantic": "a semantic segmenter",
    "vlm": "a vision-language model",
}
"""What a network of each kind is called."""

_DEMO: dict[str, Kind] = {
    "classifier": "classification", "detector": "detection", "segmenter": "semantic", "reader": "vlm"
}  # fmt: skip
_OTHER_FAMILIES: dict[VoterName, Kind] = {
    "mobilenet": "classification", "vit": "classification", "ssd": "detection", "unet": "semantic"
}  # fmt: skip


class Network(Protocol):
    """A network with its preprocessing.

    Attributes:
        name: as results name it: `resnet50`, or a file's stem.
        kind: what it answers.
        fingerprint: SHA-256 over weights and preprocessing.
        classes: names by output index; None if unknown (the demo networks: their own ids).
    """

    name: str
    kind: Kind
    fingerprint: str
    classes: tuple[str, ...] | None

    def __call__(self, image: Tensor) -> list[Any]:
        """Return the answer for each of (N, 3, H, W) images, RGB in [0, 1], of any size, on the CPU.

        classification: logits (C,), float32.
        detection: {"boxes": (n, 4) as x0 y0 x1 y1 in the image's pixels, "scores": (n,), "labels": (n,)}.
        instances: the same and "masks": (n, H, W) bool.
        semantic: the class by pixel, (H, W) uint8.
        vlm: what answers questions about the image, one answer each: `lic.backbones.vlm.Reader`.
        """
        ...

    def uncut(self, side_px: int) -> "Network":
        """Return a classifier that sees squares of this side as they are, neither resized nor cropped.

        Raises:
            ValueError: it takes pictures of another size only.
        """
        ...


def build_network(spec: str, weights: str | None, device: torch.device) -> Network:
    """Return a network.

    Args:
        spec: torchvision's or timm's name, `onnx:FILE.onnx`, `timm:NAME`, `timm:FILE.safetensors`, `hf:NAME` or
            `demo:NAME`.
        weights: a local .safetensors, .pth or .pt file for a name; None for the published ones.
        device: where it runs (ONNX files: always the processor).

    Raises:
        ValueError: in one line: unknown name, wrong or missing file, weights that cannot be downloaded.
    """
    source, _, rest = spec.partition(":")
    is_file = source in ("onnx", "demo", "hf") or (source == "timm" and rest.endswith(".safetensors"))
    if is_file and weights is not None:
        raise ValueError(f"{spec} holds its weights itself; give no --network_weights for it (or '-')")
    if source == "demo":
        return _demo_network_named(rest, device)
    if source == "onnx":
        return OnnxNetwork(Path(rest))
    if source == "hf":
        return build_vlm(rest, device)
    if is_file:
        return build_timm_file(Path(rest), device)
    if source == "timm":
        _check_timm(rest, "network of timm", [])
        return build_timm(rest, weights, device)
    if spec in list_models():
        return build_torchvision(spec, weights, device)
    _check_timm(spec, "network", list_models())
    return build_timm(spec, weights, device)


def _check_timm(name: str, what: str, others: list[str]) -> None:
    """Refuse what is no model of timm's, or has a tag of weights that the model does not have.

    Raises:
        ValueError: in one line, with the nearest name.
    """
    if name.startswith(("hf-hub:", "hf_hub:")):
        raise ValueError(f"network '{name}': weights of the Hugging Face hub are taken by timm's name, such as "
                         "resnet18.a1_in1k, or from a file: timm:FILE.safetensors")
    model, _, tag = name.partition(".")
    if not timm.is_model(model):
        check_name(name, [*others, *timm.list_models()], what)
    tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{model}.*")]
    if tag and tag not in tags:
        check_name(tag, tags, f"tag of weights of {model}:")


def demo_network(kind: Kind, device: torch.device) -> Network:
    """Return the demo world's network of a kind, for its scenes."""
    match kind:
        case "classification":
            network: nn.Module = load_demo_classifier()
        case "detection":
            network = load_demo_detector()
        case "instances":
            network = _DemoInstances()
        case "semantic":
            network = load_demo_segmenter()
        case "vlm":
            return _DemoReader(device)
    return TorchNetwork(f"demo-{kind}", kind, network, None, None, "", device)


def _demo_network_named(name: str, device: torch.device) -> Network:
    for other, kind in _OTHER_FAMILIES.items():
        if name == other:
            return TorchNetwork(f"demo-{name}", kind, load_voter(other), None, None, "", device)
    check_name(name, [*_DEMO, *_OTHER_FAMILIES], "network of the demo scenes")
    return demo_network(_DEMO[name], device)


class _DemoReader:
    """The demo world's reader behind the fields of `Network`; it looks at each image once."""

    name = "demo-vlm"
    kind: Kind = "vlm"
    classes: tuple[str, ...] | None = None

    def __init__(self, device: torch.device) -> None:
        self.network, self.device = load_scene_reader(), device
        self.fingerprint = weights_digest(self.network, self.name)
        self.network.to(device)

    def __call__(self, image: Tensor) -> list[Callable[[Sequence[str]], list[str]]]:
        """Return what answers questions about each image."""
        return [partial(self._answer, one) for one in self.network.look(image.to(self.device)).split(1)]

    def uncut(self, side_px: int) -> "_DemoReader":
        """Return the reader: it crops nothing."""
        return self

    def _answer(self, scene: Tensor, questions: Sequence[str]) -> list[str]:
        logits = self.network.reply(scene.expand(len(questions), -1, -1, -1), to_words(questions).to(self.device))
        return [to_answer(*each) for each in zip(logits, questions, strict=True)]


class _DemoInstances(nn.Module):
    """The demo detector; an object's mask is what the demo segmenter calls by its class inside its box."""

    def __init__(self) -> None:
        super().__init__()
        self.detector, self.segmenter = load_demo_detector(), load_demo_segmenter()

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        answers = []
        for image, found in zip(images, self.detector(images), strict=True):
            classes = self.segmenter(image[None])[0].argmax(0)
            rows, columns = (torch.arange(side, device=image.device) + 0.5 for side in image.shape[-2:])
            left, top, right, bottom = found["boxes"].T[:, :, None]
            in_rows, in_columns = (rows > top) & (rows < bottom), (columns > left) & (columns < right)
            in_box = in_rows[:, :, None] & in_columns[:, None, :]
            masks = in_box & (classes == found["labels"][:, None, None])
            answers.append({**found, "masks": masks[:, None].float()})
        return answers
