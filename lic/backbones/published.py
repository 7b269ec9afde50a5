"""torchvision's and timm's networks with their published weights and preprocessing.

Images go through PIL to the published transforms, as in torchvision's and timm's own evaluations: on tensors the same
transforms round otherwise. Detectors see one image at a time, so that no answer depends on what else is in a batch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from safetensors.torch import load_file
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image

from lic.backbones.networks import Kind, fingerprint_of
from lic.images import to_uint8

Preprocess = Callable[[Image.Image], Tensor]
MASK_THRESHOLD = 0.5


class PublishedNetwork:
    """A frozen network behind its preprocessing; see `lic.backbones.networks.Network`."""

    def __init__(
        self, name: str, kind: Kind, network: nn.Module, preprocess: Preprocess, classes: tuple[str, ...] | None,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.name, self.kind, self.classes, self.device = name, kind, classes, device
        self.fingerprint = fingerprint_of(network, f"{name} {preprocess}")
        self.network, self.preprocess = network.to(device).eval().requires_grad_(False), preprocess

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Any]:
        """Return an answer for each of (N, 3, H, W) images, RGB in [0, 1]."""
        inputs = [self.preprocess(to_pil_image(to_uint8(each))).to(self.device) for each in image]
        if self.kind in ("detection", "instances"):
            return [_found(self.network([each])[0]) for each in inputs]
        output = self.network(torch.stack(inputs))
        if self.kind == "semantic":
            logits = F.interpolate(output["out"].float(), image.shape[-2:], mode="bilinear", align_corners=False)
            return list(logits.argmax(1).to(torch.uint8).cpu())
        return list(output.float().cpu())


def _found(output: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {key: output[key].float().cpu() for key in ("boxes", "scores")}
    found["labels"] = output["labels"].cpu()
    if "masks" in output:
        found["masks"] = output["masks"][:, 0].cpu() > MASK_THRESHOLD
    return found


def build_torchvision(name: str, file: Path | None, device: torch.device) -> PublishedNetwork:
    """Return torchvision's network of that name (BSD-3-Clause).

    Raises:
        ValueError: it is for none of our tasks, or its weights are missing or another's.
    """
    kind = _kind(name)
    published = torchvision.models.get_model_weights(name).DEFAULT
    if file is None:
        try:
            network = torchvision.models.get_model(name, weights=published)
        except OSError as error:
            raise _missing(name, f"put {published.url} into {Path(torch.hub.get_dir()) / 'checkpoints'} "
                                 "(torchvision, BSD-3-Clause)", error) from error
    else:
        state = read_state(file)
        options: dict[str, Any] = {} if kind == "classification" else {"weights_backbone": None}
        if any(key.startswith("aux_classifier.") for key in state):
            options["aux_loss"] = True
        network = torchvision.models.get_model(name, weights=None, **options)
        load_state(network, state, name, file)
    return PublishedNetwork(name, kind, network, published.transforms(), tuple(published.meta["categories"]), device)


def _kind(name: str) -> Kind:
    module = torchvision.models.get_model_builder(name).__module__.removeprefix("torchvision.models.")
    room, _, rest = module.partition(".")
    if name.startswith("maskrcnn"):
        return "instances"
    if room == "detection" and not name.startswith("keypoint"):
        return "detection"
    if room == "segmentation":
        return "semantic"
    if rest:
        raise ValueError(f"network {name} is for {room}; tasks take classifiers, detectors and segmenters")
    return "classification"


def build_timm(name: str, file: Path | None, device: torch.device) -> PublishedNetwork:
    """Return timm's classifier of that name (timm is Apache-2.0; each of its weights has a licence of its own).

    Raises:
        ValueError: its weights are missing or another's.
    """
    try:
        network = timm.create_model(name, pretrained=file is None)
    except (OSError, RuntimeError, ValueError) as error:
        raise _missing(name, f"`python -c \"import timm; timm.create_model('{name}', pretrained=True)\"` where there "
                             "is a network, then copy the Hugging Face cache", error) from error
    if file is not None:
        load_state(network, read_state(file), name, file)
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    return PublishedNetwork(name, "classification", network, transform, imagenet_classes(network), device)


def imagenet_classes(network: nn.Module | None = None) -> tuple[str, ...] | None:
    """Return ImageNet's names in the order of their WordNet ids; None for a network of another number of classes."""
    weights = torchvision.models.ResNet50_Weights.DEFAULT
    return tuple(weights.meta["categories"]) if network is None or network.num_classes == 1000 else None


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors or .pth file, which is not unpickled beyond tensors; fp16 as float32.

    Raises:
        ValueError: it is damaged, or holds something else.
    """
    try:
        is_safe = file.suffix == ".safetensors"
        state: dict[str, Any] = load_file(file) if is_safe else torch.load(file, "cpu", weights_only=True)
        state = state.get("state_dict", state.get("model", state))
        return {key: each.float() if each.is_floating_point() else each for key, each in state.items()}
    except Exception as error:  # torch and safetensors raise whatever their parsers trip over
        raise ValueError(f"{file} holds no weights: {str(error).splitlines()[0]}") from error


def load_state(network: nn.Module, state: dict[str, Tensor], name: str, file: Path) -> None:
    """Load weights.

    Raises:
        ValueError: they are another network's.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{file} does not hold {name}'s weights: {' '.join(str(error).split())[:200]}") from error


def _missing(name: str, remedy: str, error: Exception) -> ValueError:
    cause = " ".join(str(error).split())[:120]
    return ValueError(f"the weights of {name} could not be downloaded ({cause}): {remedy}, or give --network_weights "
                      "FILE, or --network onnx:FILE.onnx; without --data_root the demo's own networks judge")
