"""MA-CLIP (Liao et al., AAAI 2026, arXiv 2511.09948): no-reference quality from CLIP's prompts and its features' size.

    Q = mean_crops  w Q_sim + (1 - w) Q_mag,    w = softmax(1 + d, 0.6 - d)_1,    d = Q_sim - Q_mag
    Q_sim = mean_pairs softmax(s cos(f, good), s cos(f, bad))_1
    Q_mag = mean_dimensions 2 (sqrt(1 + |f| / std|f|) - 1)                         higher is better

f is a crop's embedding, s CLIP's own scale, std over the dimensions. The crops are windows of 224 px every 128 px and
the whole image resized to 224 x 224; the tower is CLIP's RN50 without positional embedding.

The constants are those of the public code (zhix000/MA-CLIP, commit 9581a2c, without a licence: read, nothing copied).
Its transformation is a Box-Cox of power 1/2 shifted by 1, after a division by the standard deviation. That division
makes Q_mag **invariant to the features' scale**: what is called the magnitude cue does not see magnitude. It tells how
evenly |f| is spread over the dimensions: the heavier the tails, the lower.

Presets: `code` has the five pairs of prompts of the public code, `paper` the one pair that the paper's abstract names.

Deviations: any device; an image with a side under 224 px, on which the code fails, is mirrored at bottom and right up
to it (resizing would change the sharpness that is to be judged); the code's resizing of two sets (AGIQA-1k to 224 px,
SPAQ to 448 px) is left to the caller.
"""

import dataclasses
from math import inf
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lic.backbones.prompted import Pair, PromptedClip, load_prompted_clip
from lic.cli import unknown
from lic.images import pad_at_least
from lic.metrics.metric import Metric, MetricCard
from lic.metrics.openai_rn50 import WEIGHTS, locate
from lic.settings.metrics import MACLIPConfig
from lic.settings.names import MACLIPPreset

PAIRS: dict[MACLIPPreset, list[Pair]] = {
    "code": [
        ("Good image", "bad image"),
        ("Sharp image", "blurry image"),
        ("sharp edges", "blurry edges"),
        ("High resolution image", "low resolution image"),
        ("Noise-free image", "noisy image"),
    ],
    "paper": [("a good photo", "a bad photo")],
}
CROP_PX, STRIDE_PX = 224, 128
_CROPS_AT_ONCE = 32


class MACLIP(Metric):
    """MA-CLIP of images, (N,), 0 or more and seldom above 1; higher is better.

        build_maclip("", MACLIPConfig())(images)
    """

    def __init__(self, clip: PromptedClip, title: str | None = None) -> None:
        super().__init__(CARD, title)
        self.clip = clip

    def prepare(self, reference: Tensor | None) -> None:
        """Take no notice of a reference."""

    def measure(self, image: Tensor, seen: Any = None) -> Tensor:
        """Return the quality of each image, (N,)."""
        features = torch.cat([self.clip(crops) for crops in _crops(image).split(_CROPS_AT_ONCE)])
        quality = fused(self.clip.agreement(features).mean(1), flatness(features))
        by_crop: Tensor = quality.unflatten(0, (len(image), -1))
        return by_crop.mean(1)


def build_maclip(preset: str, config: MACLIPConfig) -> MACLIP:
    """Return the metric; `preset` where given instead of the settings'."""
    if preset and preset not in PAIRS:
        raise ValueError(unknown("preset of maclip", preset, list(PAIRS)))
    chosen = dataclasses.replace(config, preset=preset) if preset else config
    clip = load_prompted_clip(chosen.pretrained, chosen.encoder, PAIRS[chosen.preset])
    return MACLIP(clip, f"MA-CLIP ({chosen.preset})" if chosen.preset != "code" else None)


def flatness(features: Tensor) -> Tensor:
    """Return Q_mag of embeddings (N, D), (N,): invariant to their scale, lower the heavier the tails of |f|."""
    size = features.abs()
    size = size / (size.std(1, keepdim=True) + 1e-6)
    return (2 * ((size + 1).sqrt() - 1)).mean(1)


def fused(similarity: Tensor, magnitude: Tensor) -> Tensor:
    """Return the confidence-guided mean of the two cues, (N,) each: the higher cue weighs more."""
    difference = similarity - magnitude
    weights = torch.stack([1.0 + difference, 0.6 - difference]).softmax(0)
    return weights[0] * similarity + weights[1] * magnitude


def _crops(image: Tensor) -> Tensor:
    """Return windows every 128 px from the top left, and the image resized, (N * T, 3, 224, 224), image by image."""
    image = pad_at_least(image, CROP_PX)
    rows, columns = (range(0, side - CROP_PX + 1, STRIDE_PX) for side in image.shape[-2:])
    crops = [image[..., top : top + CROP_PX, left : left + CROP_PX] for top in rows for left in columns]
    resized = F.interpolate(image, (CROP_PX, CROP_PX), mode="bilinear", align_corners=False)
    return torch.stack([*crops, resized], 1).flatten(0, 1)


CARD: MetricCard = MetricCard(
    "maclip", "MA-CLIP", "none", "higher", lambda preset, config: build_maclip(preset, config.maclip),
    takes_argument=True, lowest=0, highest=inf, is_differentiable=True, weights=WEIGHTS, locate=locate,
    licence="Apache-2.0 (ours); OpenAI's weights MIT", source="Liao et al. 2026, arXiv 2511.09948",
)  # fmt: skip
