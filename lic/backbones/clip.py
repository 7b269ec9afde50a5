"""CLIP models of open_clip: their weights, had or asked for, and image encoders of another input size."""

import logging
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import nn

from lic.backbones.published import size_of


def load_open_clip(pretrained: str, encoder: str, others: Sequence[str] = ()) -> open_clip.CLIP:
    """Return both towers of an open_clip model, on the processor.

    Args:
        pretrained: an open_clip tag such as `openai`, or a local file.
        encoder: open_clip's model name.
        others: what works without it, for messages.

    Raises:
        ValueError: in one line: unknown encoder or tag, weights that do not fit or cannot be downloaded.
    """
    if encoder not in open_clip.list_models():
        raise ValueError(f"encoder '{encoder}' is unknown to open_clip; python -c 'import open_clip; "
                         "print(open_clip.list_models())' lists the names")
    tags = open_clip.list_pretrained_tags_by_model(encoder)
    if not Path(pretrained).is_file() and pretrained not in tags:
        raise ValueError(f"pretrained '{pretrained}' is neither a file nor an open_clip tag of {encoder}. "
                         f"Choose from: {', '.join(tags)}")
    _check_activation(pretrained, encoder)
    try:
        with _silent_log():  # open_clip tells of a failure there too
            return open_clip.create_model(encoder, pretrained=pretrained)
    except Exception as error:  # open_clip, the hub's client and torch raise whatever they like
        reason = textwrap.shorten(str(error) or type(error).__name__, 110, placeholder=" ...")
        where = "" if Path(pretrained).is_file() else f"; {_whereabouts(encoder, pretrained)}"
        where += f"; without them work: {', '.join(others)}" if others else ""
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


def pair(value: Any) -> Sequence[int]:
    return value if isinstance(value, Sequence) else (value, value)


def resize_positions(visual: Any, input_px: int, patch_px: int) -> None:
    """Interpolate a ViT's positional embedding over its 2-D grid, class token kept (as open_clip does at loading)."""
    position = visual.positional_embedding
    if input_px % patch_px:
        raise ValueError(f"input_px must be a multiple of the encoder's patch of {patch_px} px, got {input_px}")
    grid = [int(side) for side in visual.grid_size]
    extra, patches = position[: -grid[0] * grid[1]], position[-grid[0] * grid[1] :]
    patches = patches.T.reshape(1, -1, *grid)
    side = input_px // patch_px
    patches = F.interpolate(patches, (side, side), mode="bicubic", antialias=True, align_corners=False)
    resized = torch.cat([extra, patches.flatten(2)[0].T])
    visual.positional_embedding = nn.Parameter(resized, requires_grad=False)
