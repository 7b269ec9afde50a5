"""Intermediate features of any frozen backbone: open_clip's, timm's, torchvision's, the demo world's CLIP.

    demo                                    checkpoints/demo/clip.safetensors
    open_clip:ViT-B-32-quickgelu/openai     a model's tag, or a local file
    timm:vit_small_patch14_dinov2           published weights; NAME/FILE: a local file of them
    timm:FILE.safetensors                   with a YAML of the same stem (lic/backbones/description.py)
    torchvision:resnet50                    a classifier; NAME/FILE: a local file of its weights

A transformer's layers are the outputs of its blocks, before the last norm. A convolutional network's are its last
feature maps of each resolution, as in timm's `feature_info`.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from lic.backbones.clip import ClipTower, load_open_clip
from lic.backbones.layers import ClipLayers, Reader, TimmLayers, Tokens, TorchvisionLayers
from lic.backbones.published import check_name, load_timm, load_timm_file, load_torchvision
from lic.demo.networks import load_demo_clip

_ELSEWHERE = "without it works the backbone 'demo'"


class Layer(NamedTuple):
    """A layer's features.

    Attributes:
        patches: (N, L, C), by rows of the map.
        extra: (N, E, C), class and register tokens; E is 0 where there are none.
    """

    patches: Tensor
    extra: Tensor


class Source(NamedTuple):
    """A network as its library gives it.

    Attributes:
        reader: returns the chosen layers of normalised images.
        mean, std: of the images that it was trained on, RGB in [0, 1].
        input_px: side of the images that it takes.
        is_bgr: whether it takes blue first.
    """

    reader: Reader
    mean: Sequence[float]
    std: Sequence[float]
    input_px: int
    is_bgr: bool = False


class Backbone(nn.Module):
    """A frozen network cut after the last layer used; it stays in eval mode whatever is asked of it.

    Attributes:
        layers: indices of the layers that it gives, ascending.
        num_layers: how many there are to choose from.
        input_px: side of the square images that it takes.
        patch_px: side of the image under one position of the coarsest layer.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, source: Source, layers: Sequence[int] | None = None) -> None:
        super().__init__()
        self.reader = source.reader.requires_grad_(False).eval()
        for module in self.reader.modules():
            if hasattr(module, "inplace"):
                module.inplace = False  # type: ignore[assignment]  # would overwrite features that were handed out
        self.input_px, self.is_bgr = source.input_px, source.is_bgr
        self.register_buffer("mean", torch.tensor(source.mean))
        self.register_buffer("std", torch.tensor(source.std))
        probed = self._probe()
        self.num_layers = len(probed)
        self.patch_px = round(self.input_px / min(patches.shape[1] for patches, _ in probed) ** 0.5)
        self.layers = sorted(set(layers)) if layers is not None else list(range(self.num_layers))
        if not self.layers or not 0 <= self.layers[0] <= self.layers[-1] < self.num_layers:
            raise ValueError(f"layers must be in 0 .. {self.num_layers - 1} for this backbone, got {layers}")

    @torch.no_grad()
    def _probe(self) -> list[Tokens]:
        try:
            layers: list[Tokens] = self.reader(torch.zeros(1, 3, self.input_px, self.input_px), None)
            return layers
        except (RuntimeError, AssertionError) as error:  # too small for its strides, or not a size that it takes
            reason = textwrap.shorten(str(error) or type(error).__name__, 110, placeholder=" ...")
            raise ValueError(f"this backbone takes no windows of {self.input_px} px: {reason}") from error

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in eval mode: the backbone is a measuring instrument."""
        return super().train(False)

    def forward(self, image: Tensor, normalise: bool = True) -> list[Layer]:
        """Return the features of images at `layers`.

        Args:
            image: (N, 3, input_px, input_px), RGB in [0, 1].
            normalise: bring them to the mean and deviation of the images that the backbone was trained on.
        """
        if normalise:
            image = (image - self.mean[:, None, None]) / self.std[:, None, None]
        return [Layer(*pair) for pair in self.reader(image.flip(1) if self.is_bgr else image, self.layers)]


def load_backbone(spec: str, layers: Sequence[int] | None = None, input_px: int | None = None) -> Backbone:
    """Return a backbone on the processor.

    Args:
        spec: see the module's first lines.
        layers: indices of the layers that it shall give; default all.
        input_px: side of its images; default its own. A transformer's positional embedding is interpolated.

    Raises:
        ValueError: in one line: unknown name, wrong layers or size, weights that do not fit or cannot be had.
    """
    kind, _, rest = spec.partition(":")
    match kind:
        case "demo":
            source = _tower(load_demo_clip().visual, input_px)
        case "open_clip":
            name, _, weights = rest.partition("/")
            if not weights:
                raise ValueError(f"backbone '{spec}' names no weights; expected open_clip:MODEL/TAG or MODEL/FILE")
            source = _tower(load_open_clip(weights, name).visual, input_px)
        case "timm":
            source = _timm(rest, input_px)
        case "torchvision":
            source = _torchvision(rest, input_px)
        case _:
            raise ValueError(f"backbone '{spec}' is unknown; expected demo, open_clip:MODEL/TAG, timm:NAME, "
                             "timm:FILE.safetensors or torchvision:NAME (NAME/FILE for local weights)")
    return Backbone(source, layers)


def _tower(visual: nn.Module, input_px: int | None) -> Source:
    """Return an open_clip model's vision tower."""
    is_transformer = isinstance(getattr(visual, "positional_embedding", None), nn.Parameter)
    tower = ClipTower(visual, input_px if is_transformer else None)
    mean, std, side = tower.mean.tolist(), tower.std.tolist(), input_px or tower.input_px
    trunk = getattr(visual, "trunk", None)  # a network of timm inside
    if isinstance(trunk, nn.Module):
        return Source(TimmLayers(trunk, side), mean, std, side)
    return Source(ClipLayers(visual), mean, std, side)


def _timm(rest: str, input_px: int | None) -> Source:
    """Return timm's network of a name, NAME/FILE, or FILE.safetensors."""
    name, _, file = rest.partition("/")
    if not timm.is_model(name) and rest.endswith(".safetensors"):
        network, described = load_timm_file(Path(rest))
        side = input_px or max(described.input_size)
        mean, std = ([value / described.scale for value in values] for values in (described.mean, described.std))
        return Source(TimmLayers(network, side), mean, std, side, described.channels == "bgr")
    if not timm.is_model(name):
        check_name(name, timm.list_models(), "backbone of timm")
    network = load_timm(name, file or None, f"the backbone timm:{name}/FILE", _ELSEWHERE)
    settings = timm.data.resolve_model_data_config(network)
    side = input_px or max(settings["input_size"][1:])
    return Source(TimmLayers(network, side), settings["mean"], settings["std"], side)


def _torchvision(rest: str, input_px: int | None) -> Source:
    """Return torchvision's classifier of a name or NAME/FILE."""
    name, _, file = rest.partition("/")
    check_name(name, models.list_models(module=models), "classifier of torchvision")
    network = load_torchvision(name, file or None, f"or give the backbone torchvision:{name}/FILE; {_ELSEWHERE}")
    preset = models.get_model_weights(name).DEFAULT.transforms()
    side = input_px or preset.crop_size[0]
    fixed_px = getattr(network, "image_size", side)  # torchvision's ViT interpolates nothing
    if fixed_px != side:
        raise ValueError(f"torchvision's {name} takes windows of {fixed_px} px only, got {side}")
    return Source(TorchvisionLayers(network, preset.crop_size[0]), preset.mean, preset.std, side)
