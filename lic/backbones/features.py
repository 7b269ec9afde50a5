"""Any frozen backbone's layers and embedding: open_clip's, timm's, torchvision's, and the two that ship.

    load_backbone("demo")(images, [0, 1, 2]).patches

One grammar names it, here and in `--mlclipsim.backbone`, `--features.backbone`:

    demo                                    checkpoints/demo/clip.safetensors, a CLIP that has seen drawn shapes only
    photos                                  checkpoints/photos, the trunk of an ImageNet classifier: no CLIP
    open_clip:ViT-B-32-quickgelu/openai     a model's tag, or a local file
    timm:vit_small_patch14_dinov2           published weights; NAME/FILE: a local file of them
    timm:FILE.safetensors, FILE.safetensors with a YAML of the same stem (lic/backbones/description.py)
    torchvision:resnet50                    a classifier; NAME/FILE: a local file of its weights
    onnx:FILE.onnx                          a convolutional network, with a YAML of the same stem (`lic[onnx]`)

A transformer's layers are the outputs of its blocks, before the last norm. A convolutional network's are its last
feature maps of each resolution, as in timm's `feature_info`.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from lic.backbones.clip import image_statistics, load_open_clip, pair, resize_positions
from lic.backbones.description import Description, read_description
from lic.backbones.folding import fold_batch_norms
from lic.backbones.layers import ClipLayers, Reader, TimmLayers, Tokens, TorchvisionLayers
from lic.backbones.onnx_layers import read_onnx_layers
from lic.backbones.published import check_name, load_timm, load_timm_file, load_torchvision
from lic.demo.networks import load_demo_clip
from lic.embedded import embedded

OFFLINE = ("photos (an ImageNet classifier, no CLIP)", "timm:FILE.safetensors", "demo (drawn scenes only)")
"""Backbones that need no network."""
_ELSEWHERE = f"without it work the backbones {', '.join(OFFLINE)}"


class Features(NamedTuple):
    """What a backbone makes of N images.

    Attributes:
        patches: by layer (N, L, C), by rows of the map; L and C may differ by layer.
        extra: by layer (N, E, C), class and register tokens; E is 0 where there are none.
        embedding: (N, D), the global image embedding; None if it was not asked for.
    """

    patches: list[Tensor]
    extra: list[Tensor]
    embedding: Tensor | None


class Source(NamedTuple):
    """A network as its library gives it.

    Attributes:
        reader: returns the chosen layers of normalised images.
        mean, std: of the images that it was trained on, RGB in [0, 1].
        input_px: side of the images that it takes.
        is_bgr: whether it takes blue first.
        embedding_px: side of the only images of which it gives an embedding; None: any.
    """

    reader: Reader
    mean: Sequence[float]
    std: Sequence[float]
    input_px: int
    is_bgr: bool = False
    embedding_px: int | None = None


class Backbone(nn.Module):
    """A frozen network; it stays in eval mode whatever is asked of it.

    Attributes:
        num_layers: how many layers there are to choose from.
        input_px: side of the square images that it takes.
        patch_px: side of the image under one position of the coarsest layer.
        embedding_px: side of the only images of which it gives an embedding; None: any.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.reader = source.reader.requires_grad_(False).eval()
        for module in self.reader.modules():
            if hasattr(module, "inplace"):
                module.inplace = False  # type: ignore[assignment]  # would overwrite features that were handed out
        self.input_px, self.is_bgr, self.embedding_px = source.input_px, source.is_bgr, source.embedding_px
        self.register_buffer("mean", torch.tensor(source.mean))
        self.register_buffer("std", torch.tensor(source.std))
        probed = self._probe()
        self.num_layers = len(probed)
        self.patch_px = round(self.input_px / min(patches.shape[1] for patches, _ in probed) ** 0.5)

    @torch.no_grad()
    def _probe(self) -> list[Tokens]:
        try:
            layers: list[Tokens] = self.reader(torch.zeros(1, 3, self.input_px, self.input_px), None)[0]
            return layers
        except (RuntimeError, AssertionError) as error:  # too small for its strides, or not a size that it takes
            reason = textwrap.shorten(str(error) or type(error).__name__, 110, placeholder=" ...")
            raise ValueError(f"this backbone takes no windows of {self.input_px} px: {reason}") from error

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in eval mode: the backbone is a measuring instrument."""
        return super().train(False)

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raise ValueError for an index that the backbone does not have, and for none at all."""
        if not layers or not all(0 <= layer < self.num_layers for layer in layers):
            raise ValueError(f"layers must be in 0 .. {self.num_layers - 1} for this backbone, got {list(layers)}")

    def forward(
        self, image: Tensor, layers: Sequence[int], has_embedding: bool = False, normalise: bool = True
    ) -> Features:
        """Return the features of images; nothing behind the last layer used is computed unless the embedding is asked.

        Args:
            image: (N, 3, input_px, input_px), RGB in [0, 1].
            layers: indices below num_layers, ascending.
            has_embedding: whether to go on to the embedding.
            normalise: bring them to the mean and deviation of the images that the backbone was trained on.
        """
        if normalise:
            image = (image - self.mean[:, None, None]) / self.std[:, None, None]
        tokens, embedding = self.reader(image.flip(1) if self.is_bgr else image, layers, has_embedding)
        return Features([patches for patches, _ in tokens], [extra for _, extra in tokens], embedding)


def load_backbone(spec: str, input_px: int | None = None) -> Backbone:
    """Return a backbone, on the CPU.

    Args:
        spec: see the module's first lines.
        input_px: side of its images; default its own. A transformer's positional embedding is interpolated.

    Raises:
        ValueError: in one line: unknown name, wrong size, weights that do not fit or cannot be had.
    """
    kind, _, rest = spec.partition(":")
    match kind:
        case "demo":
            return clip_backbone(load_demo_clip().visual, input_px)
        case "photos":
            return Backbone(_timm(str(embedded("checkpoints/photos/efficientnet_lite0.safetensors")), input_px))
        case "open_clip":
            name, _, weights = rest.partition("/")
            if not weights:
                raise ValueError(f"backbone '{spec}' names no weights; expected open_clip:MODEL/TAG or MODEL/FILE")
            return clip_backbone(load_open_clip(weights, name, OFFLINE).visual, input_px)
        case "timm":
            return Backbone(_timm(rest, input_px))
        case "torchvision":
            return Backbone(_torchvision(rest, input_px))
        case "onnx":
            return Backbone(_onnx(Path(rest), input_px))
    if spec.endswith(".safetensors"):
        return Backbone(_timm(spec, input_px))
    raise ValueError(f"backbone '{spec}' is unknown; expected demo, photos, open_clip:MODEL/TAG, timm:NAME, "
                     "timm:FILE.safetensors, torchvision:NAME (NAME/FILE for local weights) or onnx:FILE.onnx")


def clip_backbone(visual: Any, input_px: int | None = None) -> Backbone:
    """Return an open_clip model's vision tower, its batch norms folded.

    Args:
        visual: the tower.
        input_px: side of its images; default its own.
    """
    visual = visual.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    mean, std = image_statistics(visual)
    own_px = int(max(pair(visual.image_size)))
    side, embedding_px = input_px or own_px, None
    if hasattr(visual, "trunk"):  # a network of timm inside
        fold_batch_norms(visual, lambda: visual(torch.zeros(1, 3, own_px, own_px)))
        return Backbone(Source(TimmLayers(visual.trunk, side, visual.head), mean, std, side))
    if not isinstance(getattr(visual, "positional_embedding", None), nn.Parameter):
        embedding_px = own_px  # a ResNet, whose attention pool has a position for each place
    elif side != own_px:
        resize_positions(visual, side, int(max(pair(visual.patch_size))))
    probe = torch.zeros(1, 3, own_px if embedding_px else side, own_px if embedding_px else side)
    fold_batch_norms(visual, lambda: visual.forward_intermediates(probe))
    with torch.no_grad():
        num_layers = len(visual.forward_intermediates(probe)["image_intermediates"])
    return Backbone(Source(ClipLayers(visual, num_layers), mean, std, side, embedding_px=embedding_px))


def _timm(rest: str, input_px: int | None) -> Source:
    """Return timm's network of a name, NAME/FILE, or FILE.safetensors."""
    name, _, file = rest.partition("/")
    if not timm.is_model(name) and rest.endswith(".safetensors"):
        network, described = load_timm_file(Path(rest))
        side = input_px or max(described.input_size)
        return Source(TimmLayers(network, side), *_as_described(described), side, described.channels == "bgr")
    if not timm.is_model(name):
        check_name(name, timm.list_models(), "backbone of timm")
    network = load_timm(name, file or None, f"the backbone timm:{name}/FILE", _ELSEWHERE)
    settings = timm.data.resolve_model_data_config(network)
    side = input_px or max(settings["input_size"][1:])
    return Source(TimmLayers(network, side), settings["mean"], settings["std"], side)


def _onnx(path: Path, input_px: int | None) -> Source:
    """Return the network of an ONNX file."""
    described = read_description(path)
    side = input_px or max(described.input_size)
    layers = read_onnx_layers(path, side)
    return Source(layers, *_as_described(described), side, described.channels == "bgr")


def _as_described(described: Description) -> tuple[list[float], list[float]]:
    """Return mean and deviation of images in [0, 1]."""
    mean, std = ([value / described.scale for value in values] for values in (described.mean, described.std))
    return mean, std


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
