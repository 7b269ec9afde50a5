"""CLIP as a judge: how much nearer an image is to one prompt of a pair than to the other."""

from collections.abc import Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.backbones.clip import image_statistics, load_open_clip
from lic.images import pad_at_least

Pair = tuple[str, str]


class PromptedClip(nn.Module):
    """A frozen CLIP that has read its prompts; images of any size, since it has no positional embedding.

    CLIP-IQA (Wang et al. 2023, section 3.1) leaves the embedding out so that images need no resizing: the ResNet's
    attention pooling, or the ViT, gets zeros in its place.
    """

    mean: Tensor
    std: Tensor
    prompts: Tensor
    logit_scale: Tensor

    def __init__(self, model: open_clip.CLIP, tokens: Tensor) -> None:
        """Keep the image tower of an open_clip model, and what its text tower says of tokens (2 * pairs, length)."""
        super().__init__()
        model.requires_grad_(False).eval()
        self.visual, self.stride_px = model.visual, _drop_positions(model.visual)
        mean, std = image_statistics(self.visual)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        with torch.no_grad():
            prompts = model.encode_text(tokens)
        self.register_buffer("prompts", F.normalize(prompts.float(), dim=-1))
        self.register_buffer("logit_scale", model.logit_scale.detach().float().exp())

    def train(self, mode: bool = True) -> "PromptedClip":
        """Stay in eval mode: it is a measuring instrument."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the embeddings of images, (N, D), float32, not normalised.

        Args:
            image: (N, 3, H, W), RGB in [0, 1]; mirrored at bottom and right where smaller than the tower's stride.
        """
        image = pad_at_least(image, self.stride_px)
        features: Tensor = self.visual((image - self.mean[:, None, None]) / self.std[:, None, None])
        return features.float()

    def agreement(self, features: Tensor) -> Tensor:
        """Return the share of the first prompt of each pair, (N, pairs), in 0 .. 1: softmax over the scaled cosines."""
        cosines = F.normalize(features, dim=-1) @ self.prompts.T
        share: Tensor = (self.logit_scale * cosines).unflatten(1, (-1, 2)).softmax(-1)[..., 0]
        return share


def load_prompted_clip(pretrained: str, encoder: str, pairs: Sequence[Pair]) -> PromptedClip:
    """Return a CLIP on the processor that has read pairs of prompts.

    Args:
        pretrained: an open_clip tag such as `openai`, or a local file.
        encoder: open_clip's model name; OpenAI's weights need the `-quickgelu` ones.
        pairs: the better, and the worse.

    Raises:
        ValueError: in one line: unknown encoder or tag, weights or tokenizer that cannot be had, a tower of timm.
    """
    model = load_open_clip(pretrained, encoder)
    try:
        tokenize = open_clip.get_tokenizer(encoder)
    except Exception as error:  # some are the hub's, whose client raises whatever it likes
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        raise ValueError(f"the tokenizer of {encoder} cannot be had: {reason}") from error
    return PromptedClip(model, tokenize([prompt for pair in pairs for prompt in pair]))


def _drop_positions(visual: Any) -> int:
    """Put zeros that fit any number of places where the positional embedding is added; return the stride in px."""
    holder = getattr(visual, "attnpool", visual)
    position = getattr(holder, "positional_embedding", None)
    if not isinstance(position, nn.Parameter):
        raise ValueError("this metric needs one of open_clip's own ResNets or ViTs, such as RN50-quickgelu")
    holder.positional_embedding = nn.Parameter(torch.zeros(1, position.shape[1]), requires_grad=False)
    return int(visual.patch_size[0]) if holder is visual else 32
