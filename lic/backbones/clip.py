"""Frozen CLIP image encoders of open_clip that give their patch tokens layer by layer."""

import logging
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from lic.backbones.folding import fold_batch_norms
from lic.backbones.layers import as_tokens
from lic.backbones.published import size_of
from lic.demo.networks import load_demo_clip


class ClipFeatures(NamedTuple):
    """What an encoder makes of images.

    Attributes:
        tokens: for each chosen layer (N, L, C), patch tokens without the class token; L and C may differ by layer.
        embedding: (N, D), the global image embedding; None if it was not asked for.
    """

    tokens: list[Tensor]
    embedding: Tensor | None


class ClipTower(nn.Module):
    """A frozen vision tower; it stays in eval mode whatever is asked of it.

    Attributes:
        input_px: side of the square images that it takes.
        patch_px: side of its patches (its total stride for a ResNet).
        num_layers: layers to choose from: transformer blocks, or stem and stages of a ResNet.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, visual: nn.Module, input_px: int | None = None) -> None:
        super().__init__()
        self.visual = visual.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        mean, std = image_statistics(visual)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        own_px = int(max(_pair(visual.image_size)))
        self.patch_px = int(max(_pair(getattr(visual, "patch_size", 32))))
        self.input_px = input_px or own_px
        if self.input_px != own_px:
            _resize_positions(visual, self.input_px, self.patch_px)
        probe = torch.zeros(1, 3, self.input_px, self.input_px)
        fold_batch_norms(visual, lambda: self._intermediates(probe))
        with torch.no_grad():
            self.num_layers = len(self._intermediates(probe)["image_intermediates"])

    def _intermediates(self, image: Tensor, **options: Any) -> dict[str, Any]:
        output: dict[str, Any] = self.visual.forward_intermediates(image, **options)  # type: ignore[operator]  # open_clip's method
        return output

    def train(self, mode: bool = True) -> "ClipTower":
        """Stay in eval mode: the encoder is a measuring instrument."""
        return super().train(False)

    def forward(self, image: Tensor, layers: Sequence[int], has_embedding: bool = True) -> ClipFeatures:
        """Return the features of images.

        Args:
            image: (N, 3, input_px, input_px), RGB in [0, 1].
            layers: indices below num_layers.
            has_embedding: whether to go on to the embedding; else no layer after the last chosen one is run (on a ViT).
        """
        normalised = (image - self.mean[:, None, None]) / self.std[:, None, None]
        # Of a ResNet, open_clip 3.3 leaves out what lies behind the last index, though the embedding needs it.
        taken = sorted({*layers, *([self.num_layers - 1] if has_embedding or not layers else [])})
        options: dict[str, Any] = {"indices": taken, "stop_early": True, "intermediates_only": not has_embedding}
        if isinstance(self.visual, VisionTransformer):
            options["output_fmt"] = "NLC"  # as they are; channels first costs a copy of each
        output = self._intermediates(normalised, **options)
        by_layer = dict(zip(taken, output["image_intermediates"], strict=True))
        return ClipFeatures([as_tokens(by_layer[layer]) for layer in layers], output.get("image_features"))


def load_clip_tower(pretrained: str, encoder: str, input_px: int | None = None) -> ClipTower:
    """Return a frozen tower.

    Args:
        pretrained: `demo` (the embedded weights), an open_clip tag such as `openai`, or a local file.
        encoder: open_clip's model name, such as `ViT-B-16`; unused by `demo`.
        input_px: side of the images; other than the encoder's own, its positional embedding is interpolated.

    Raises:
        ValueError: in one line: unknown encoder or tag, weights that do not fit or cannot be downloaded.
    """
    model = load_demo_clip() if pretrained == "demo" else load_open_clip(pretrained, encoder, ["demo"])
    return ClipTower(model.visual, input_px)


def load_open_clip(pretrained: str, encoder: str, others: Sequence[str] = ()) -> open_clip.CLIP:
    """Return both towers of an open_clip model, on the processor.

    Args:
        pretrained: an open_clip tag such as `openai`, or a local file.
        encoder: open_clip's model name.
        others: what the caller takes besides, for messages.

    Raises:
        ValueError: in one line: unknown encoder or tag, weights that do not fit or cannot be downloaded.
    """
    if encoder not in open_clip.list_models():
        raise ValueError(f"encoder '{encoder}' is unknown to open_clip; python -c 'import open_clip; "
                         "print(open_clip.list_models())' lists the names")
    tags = open_clip.list_pretrained_tags_by_model(encoder)
    if not Path(pretrained).is_file() and pretrained not in tags:
        raise ValueError(f"pretrained '{pretrained}' is neither a file nor an open_clip tag of {encoder}. "
                         f"Choose from: {', '.join([*others, *tags])}")
    _check_activation(pretrained, encoder)
    try:
        with _silent_log():  # open_clip tells of a failure there too
            return open_clip.create_model(encoder, pretrained=pretrained)
    except Exception as error:  # open_clip, the hub's client and torch raise whatever they like
        reason = textwrap.shorten(str(error) or type(error).__name__, 110, placeholder=" ...")
        where = "" if Path(pretrained).is_file() else f"; {_whereabouts(encoder, pretrained)}"
        where += f"; without them works: {', '.join(others)}" if others else ""
        raise ValueError(f"weights '{pretrained}' of {encoder} cannot be loaded: {reason}{where}") from error


def _check_activation(pretrained: str, encoder: str) -> None:
    """Refuse a tag whose weights were trained with another GELU than the encoder has: its features would be wrong."""
    published = open_clip.get_pretrained_cfg(encoder, pretrained)
    has_quick = bool((open_clip.get_model_config(encoder) or {}).get("quick_gelu", False))
    if published and bool(published.get("quick_gelu", False)) != has_quick:
        other = encoder.removesuffix("-quickgelu") if has_quick else f"{encoder}-quickgelu"
        other = f"the encoder {other}" if other in open_clip.list_models() else "none of open_clip's encoders"
        raise ValueError(f"QuickGELU mismatch: weights '{pretrained}' are for {other}, not {encoder}")


@contextmanager
def _silent_log() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _whereabouts(encoder: str, tag: str) -> str:
    """Return where a tag's weights lie, how large they are, and where to put them."""
    # every tag has a place there; OpenAI's own files are TorchScript archives, which are not opened here
    repository = "/".join(open_clip.get_pretrained_cfg(encoder, tag)["hf_hub"].split("/")[:2])
    with _silent_log():
        size = size_of(lambda: open_clip.create_model(encoder, load_weights=False, device="meta"))
    return (f"download open_clip_model.safetensors ({size} as float32; its licence is there) from "
            f"https://huggingface.co/{repository} and give the file's path in place of the tag, or fetch it into "
            "~/.cache/huggingface with its client")


def image_statistics(visual: nn.Module) -> tuple[list[float], list[float]]:
    """Return mean and deviation, by channel, of the images that a vision tower was trained on."""
    mean = getattr(visual, "image_mean", None) or open_clip.OPENAI_DATASET_MEAN
    std = getattr(visual, "image_std", None) or open_clip.OPENAI_DATASET_STD
    return list(mean), list(std)


def _pair(value: Any) -> Sequence[int]:
    return value if isinstance(value, Sequence) else (value, value)


def _resize_positions(visual: nn.Module, input_px: int, patch_px: int) -> None:
    """Interpolate a ViT's positional embedding over its 2-D grid, class token kept (as open_clip does at loading)."""
    if isinstance(visual, TimmModel) and not hasattr(visual.trunk, "patch_embed"):
        return  # convolutions and a mean take any size
    position = getattr(visual, "positional_embedding", None)
    if not isinstance(position, nn.Parameter):
        raise ValueError(f"this encoder takes {_pair(visual.image_size)[0]} px only; leave input_px to its default")
    if input_px % patch_px:
        raise ValueError(f"input_px must be a multiple of the encoder's patch of {patch_px} px, got {input_px}")
    grid = [int(side) for side in visual.grid_size]  # type: ignore[union-attr]  # a tuple on every open_clip ViT
    extra, patches = position[: -grid[0] * grid[1]], position[-grid[0] * grid[1] :]
    patches = patches.T.reshape(1, -1, *grid)
    side = input_px // patch_px
    patches = F.interpolate(patches, (side, side), mode="bicubic", antialias=True, align_corners=False)
    resized = torch.cat([extra, patches.flatten(2)[0].T])
    visual.positional_embedding = nn.Parameter(resized, requires_grad=False)
