"""ML-CLIPSim (Ding et al. 2026, arXiv 2605.09479): similarity of two images inside a frozen CLIP image encoder.

Its formula runs inside any backbone; with another than a CLIP's it is the formula, not the published metric.

    S(x, y) = sum_l w_l mean_p cos(h_lp(x), h_lp(y)) + w_g cos(g(x), g(y)),    w >= 0, sum w = 1

h_lp is patch token p after layer l, g the global image embedding. The paper's layers and weights were not available to
us: the defaults are four layers evenly spaced, the last included, and equal weights; both are settings. The demo
encoder's are the stem and the stages of stride 4 and 8 alone: codecs trained against these served the tasks best, on
scenes that no test uses (docs/experiments.md). Those of `photos` are the stages of stride 2 to 16; no embedding.

What keeps it sound as a training loss:

- 1 - cos is computed as half the squared distance of the normalised tokens, in fp32: in bf16 1 - cos goes negative;
- the reconstruction is clamped, both images are shifted alike in train mode, large ones are tiled: looking.py says why.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lic.backbones.features import Backbone, load_backbone
from lic.distortions.card import DistortionCard
from lic.distortions.cosine import one_minus_cos
from lic.distortions.default_backbone import PUBLISHED
from lic.distortions.fitted import read_fitted
from lic.distortions.looking import clamp_unit, shift, tile
from lic.distortions.pair import check_sizes
from lic.settings.metrics import MLCLIPSimConfig


class Recipe(NamedTuple):
    """Layers and weights, and the scale that was calibrated for them (docs/results.md)."""

    layers: tuple[int, ...]
    weights: tuple[float, ...]
    scale: float


EMBEDDED = {
    "demo": Recipe((0, 1, 2), (1.0, 1.0, 1.0, 0.0), 920.0),
    "photos": Recipe((0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0, 0.0), 480.0),
}
"""Of the backbones that ship, unless others are asked for."""


class Seen(NamedTuple):
    """What the encoder makes of images.

    Attributes:
        vectors: for each layer (N, T, L, C), the L tokens of each of T tiles; at the end (N, T, D), the embedding.
    """

    vectors: list[Tensor]

    def chunk(self) -> tuple["Seen", "Seen"]:
        """Return the first half of the images and the second."""
        halves = [each.chunk(2) for each in self.vectors]
        return Seen([first for first, _ in halves]), Seen([second for _, second in halves])


class MLCLIPSim(nn.Module):
    """Similarity of reconstruction and image, at most 1, 1 for identical images; higher is better.

        MLCLIPSim.from_pretrained("demo")(reconstruction, image)  # -> (N,)
    """

    layer_weights: Tensor
    scale: float = EMBEDDED["demo"].scale
    """What a training multiplies 1 - similarity with; calibrated for `EMBEDDED` only."""

    def __init__(
        self, backbone: Backbone, layers: Sequence[int] | None = None, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.layers = list(layers) if layers is not None else _evenly_spaced(backbone.num_layers)
        backbone.check_layers(self.layers)
        weights = list(weights) if weights is not None else [1.0] * (len(self.layers) + 1)
        if len(weights) != len(self.layers) + 1 or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"weights must be {len(self.layers) + 1} (one per layer, then the global embedding's), "
                             f"none negative, not all 0; got {weights}")
        self.has_embedding = weights[-1] > 0
        if self.has_embedding and backbone.embedding_px not in (None, backbone.input_px):
            raise ValueError(f"the embedding of this backbone takes {backbone.embedding_px} px only; leave input_px to "
                             "its default, or give the embedding the weight 0")
        self.register_buffer("layer_weights", torch.tensor(weights) / sum(weights))

    @classmethod
    def from_pretrained(
        cls,
        backbone: str = "demo",
        layers: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        input_px: int | None = None,
    ) -> "MLCLIPSim":
        """Return the metric in eval mode.

        Args:
            backbone, input_px: see `load_backbone`.
            layers: indices of the layers compared.
            weights: one per layer, then the global embedding's; they are divided by their sum. Without both, `demo` and
                `photos` have defaults of their own.
        """
        recipe = EMBEDDED.get(backbone) if layers is None and weights is None else None
        if recipe is None:
            return cls(load_backbone(backbone, input_px), layers, weights).eval()
        metric = cls(load_backbone(backbone, input_px), recipe.layers, recipe.weights).eval()
        metric.scale = recipe.scale
        return metric

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the similarities, (N,).

        Args:
            reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
            image: (N, 3, H, W), RGB in [0, 1].
        """
        return 1 - self.distance(reconstruction, image)

    def distance(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return 1 - similarity, (N,), without the cancellation of computing it so.

        Raises:
            ValueError: the images differ in size.
        """
        check_sizes(reconstruction, image)
        if self.training:
            reconstruction, image = shift(clamp_unit(reconstruction), image, self.backbone.patch_px)
        if torch.is_grad_enabled() and reconstruction.requires_grad:
            return self.distance_to(reconstruction, self.see(image))
        distorted, seen = self._features(torch.cat([reconstruction, image])).chunk()
        return self._weigh(_parts(distorted, seen))

    def see(self, image: Tensor) -> "Seen":
        """Return the features of undistorted images, without gradient, for `distance_to`."""
        with torch.no_grad():
            return self._features(image)

    def distance_to(self, reconstruction: Tensor, seen: "Seen") -> Tensor:
        """Return 1 - similarity, (N,), to what `see` made of their originals, or of the one original of all."""
        return self._weigh(self.parts(reconstruction, seen))

    def parts(self, reconstruction: Tensor, seen: "Seen") -> Tensor:
        """Return 1 - similarity at each layer, then of the embedding, (N, len(layers) + 1), before weighting.

        The embedding's is missing if its weight is 0.
        """
        return _parts(self._features(reconstruction), seen)

    def _features(self, image: Tensor) -> "Seen":
        tiles = tile(clamp_unit(image), self.backbone.input_px)
        features = self.backbone(tiles, self.layers, self.has_embedding)
        vectors = features.patches if features.embedding is None else [*features.patches, features.embedding]
        return Seen([each.unflatten(0, (len(image), -1)) for each in vectors])

    def _weigh(self, parts: Tensor) -> Tensor:
        weights = self.layer_weights[: parts.shape[1]]
        return (parts * weights).sum(1)  # a matrix product would go to bf16 under autocast


def _parts(distorted: Seen, seen: Seen) -> Tensor:
    pairs = zip(distorted.vectors, seen.vectors, strict=True)  # one original serves all by broadcasting
    return torch.stack([one_minus_cos(a, b).flatten(1).mean(1) for a, b in pairs], 1)


def _evenly_spaced(num_layers: int, count: int = 4) -> list[int]:
    return sorted({-(-(i + 1) * num_layers // count) - 1 for i in range(count)})


def build_mlclipsim(config: MLCLIPSimConfig) -> MLCLIPSim:
    """Return the metric that the settings describe, in eval mode."""
    if config.fitted is not None:
        config = read_fitted(config)
    return MLCLIPSim.from_pretrained(config.backbone or PUBLISHED, config.layers, config.weights, config.input_px)


CARD = DistortionCard("mlclipsim", MLCLIPSim.scale, lambda config: build_mlclipsim(config.mlclipsim).distance)
