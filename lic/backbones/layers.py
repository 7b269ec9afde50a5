"""The layers of open_clip's, timm's and torchvision's networks, in one form: patch tokens and extra tokens."""

import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import SwinTransformer
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

Tokens = tuple[Tensor, Tensor]  # (N, L, C) of patches, (N, E, C) of class and register tokens
Answer = tuple[list[Tokens], Tensor | None]  # by layer; (N, D), the global embedding


class Reader(nn.Module):
    """A network that gives its layers.

        TimmLayers(network, 224)(images, [0, 5])    # nothing is computed after layer 5
    """

    def forward(self, image: Tensor, layers: Sequence[int] | None, has_embedding: bool = False) -> Answer:
        """Return layers of (N, 3, H, W) images, in the network's order, None: all of them; and the embedding if asked.

        The embedding is CLIP's own; elsewhere what the network pools for its classifier.
        """
        raise NotImplementedError  # each kind of network has its own way


class ClipLayers(Reader):
    """open_clip's ViT (its blocks) or ModifiedResNet (stem and stages)."""

    def __init__(self, visual: nn.Module, num_layers: int) -> None:
        super().__init__()
        self.visual, self.num_layers = visual, num_layers
        self.settings: dict[str, Any] = {}
        if hasattr(visual, "transformer"):  # channels first would cost a copy of each
            self.settings |= {"output_fmt": "NLC", "output_extra_tokens": True}

    def forward(self, image: Tensor, layers: Sequence[int] | None, has_embedding: bool = False) -> Answer:
        """Return layers of images, and the embedding if asked."""
        wanted = list(range(self.num_layers)) if layers is None else list(layers)
        # Of a ResNet, open_clip 3.3 leaves out what lies behind the last index, though the embedding needs it.
        taken = sorted({*wanted, *([self.num_layers - 1] if has_embedding or not wanted else [])})
        options: dict[str, Any] = {"indices": taken, "stop_early": True, "intermediates_only": not has_embedding}
        output = self.visual.forward_intermediates(image, **options, **self.settings)  # type: ignore[operator]  # open_clip's method
        patches = [as_tokens(features) for features in output["image_intermediates"]]
        extra = output.get("image_intermediates_prefix") or [one[:, :0] for one in patches]
        by_layer = dict(zip(taken, zip(patches, extra, strict=True), strict=True))
        return [by_layer[layer] for layer in wanted], output.get("image_features")


class TimmLayers(Reader):
    """A network of timm through its own `forward_intermediates`: a transformer's blocks, or one map per resolution."""

    def __init__(self, network: Any, input_px: int, head: nn.Module | None = None) -> None:
        """Take a network; and what open_clip puts behind its pooled features, if it is a CLIP's."""
        super().__init__()
        if not hasattr(network, "forward_intermediates"):
            raise ValueError(f"timm's {type(network).__name__} gives no intermediate features; choose another backbone")
        _set_input_px(network, input_px)
        self.network, self.head = network, head
        self.settings: dict[str, Any] = {}
        if "return_prefix_tokens" in inspect.signature(network.forward_intermediates).parameters:
            self.settings |= {"return_prefix_tokens": True, "output_fmt": "NLC"}

    def forward(self, image: Tensor, layers: Sequence[int] | None, has_embedding: bool = False) -> Answer:
        """Return layers of images, and the embedding if asked."""
        indices = None if layers is None else list(layers)
        run = self.network.forward_intermediates
        if not has_embedding:
            found = run(image, indices=indices, intermediates_only=True, stop_early=True, **self.settings)
            return [_split(one) for one in found], None
        last, found = run(image, indices=indices, **self.settings)
        pooled = self.network.forward_head(last, pre_logits=self.head is None)
        return [_split(one) for one in found], self.head(pooled) if self.head else pooled


class TorchvisionLayers(Reader):
    """A classifier of torchvision, cut by its own feature extractor."""

    def __init__(self, network: nn.Module, probe_px: int) -> None:
        super().__init__()
        self.network, self.is_channels_last = network.eval(), isinstance(network, SwinTransformer)
        self.names = self._names(probe_px)
        self.cut: dict[tuple[tuple[str, ...], torch.device], nn.Module] = {}  # shares the network's weights there

    def _names(self, probe_px: int) -> list[str]:
        """Return the modules that end a resolution, or all blocks of a transformer, by a look at their outputs."""
        candidates = _trunk(self.network)
        cut = create_feature_extractor(self.network, {name: name for name in candidates})
        with torch.no_grad():
            outputs = cut(torch.zeros(1, 3, probe_px, probe_px))
        if any(outputs[name].dim() == 3 for name in candidates):
            return [name for name in candidates if outputs[name].dim() == 3]
        sides = {name: self._as_map(outputs[name]).shape[-1] for name in candidates if outputs[name].dim() == 4}
        maps = [name for name, side in sides.items() if side > 1]  # one position: pooled
        return [name for name, following in pairwise(maps) if sides[following] != sides[name]] + maps[-1:]

    def _as_map(self, features: Tensor) -> Tensor:
        return features.permute(0, 3, 1, 2) if self.is_channels_last else features

    def forward(self, image: Tensor, layers: Sequence[int] | None, has_embedding: bool = False) -> Answer:
        """Return layers of images, and the embedding if asked: the class token or the mean of the last layer."""
        wanted = list(range(len(self.names))) if layers is None else list(layers)
        taken = sorted({*wanted, *([len(self.names) - 1] if has_embedding else [])})
        names = tuple(self.names[layer] for layer in taken)
        key = (names, image.device)
        if key not in self.cut:
            self.cut[key] = create_feature_extractor(self.network, {name: name for name in names})
        found = self.cut[key](image)
        features = [found[name] for name in names]
        tokens = [(one[:, 1:], one[:, :1]) if one.dim() == 3 else _split(self._as_map(one)) for one in features]
        by_layer = dict(zip(taken, tokens, strict=True))
        patches, extra = tokens[-1]
        embedding = (extra if extra.shape[1] else patches).mean(1) if has_embedding else None
        return [by_layer[layer] for layer in wanted], embedding


def as_tokens(features: Tensor) -> Tensor:
    """Return (N, C, H, W) feature maps as tokens (N, H * W, C)."""
    return features.flatten(2).transpose(1, 2) if features.dim() == 4 else features


def _split(found: Tensor | tuple[Tensor, Tensor]) -> Tokens:
    """Return what a network gives for a layer, patches alone or with extra tokens, as both."""
    if isinstance(found, tuple):
        return found
    patches = as_tokens(found)
    return patches, patches[:, :0]


def _set_input_px(network: Any, input_px: int) -> None:
    """Let a transformer of timm take images of a size; convolutional networks take any."""
    if not hasattr(network, "set_input_size"):
        return
    patch_px = getattr(getattr(network, "patch_embed", None), "patch_size", (1,))
    if input_px % int(patch_px[0]):
        raise ValueError(f"window_px must be a multiple of the backbone's patch of {patch_px[0]} px, got {input_px}")
    network.set_input_size(img_size=(input_px, input_px))


def _trunk(network: nn.Module) -> list[str]:
    """Return the names of the modules that follow one another in a classifier of torchvision."""
    nodes = get_graph_node_names(network)[1]
    for path in ("features", "encoder.layers", "trunk_output", "layers", "blocks", ""):
        try:
            names = [f"{path}.{name}".strip(".") for name, _ in network.get_submodule(path).named_children()]
        except AttributeError:
            continue
        return [name for name in names if any(node == name or node.startswith(f"{name}.") for node in nodes)]
    raise AssertionError("every network has children")
