"""ML-CLIPSim (Ding et al. 2026, arXiv 2605.09479): similarity of two images inside a frozen CLIP image encoder.

    S(x, y) = sum_l w_l mean_p cos(h_lp(x), h_lp(y)) + w_g cos(g(x), g(y)),    w >= 0, sum w = 1

h_lp is patch token p after layer l, g the global image embedding. The paper's layers and weights were not available to
us: the defaults are four layers evenly spaced, the last included, and equal weights; both are settings. The demo
encoder's are the stem and the stages of stride 4 and 8 alone: codecs trained against these served the tasks best, on
scenes that no test uses (docs/experiments.md).

What keeps it sound as a training loss:

- 1 - cos is computed as half the squared distance of the normalised tokens, in fp32: in bf16 1 - cos goes negative;
- the reconstruction is clamped to [0, 1], and a pixel outside gets a gradient only where that points back in;
- in train mode both images are shifted alike by a random offset below a patch, each pair by its own: codecs of
  stride 16 share the grid of 16 px patches, and their decoder learns speckles at the same place of every patch. The
  border is mirrored, not wrapped round: a wrap puts an edge into the picture that no image has;
- images larger than the encoder's input are tiled (the tiles overlap where the sides are no multiple of it), never
  shrunk; smaller ones are mirrored at the border, both alike.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lic.backbones.clip import ClipTower, load_clip_tower
from lic.images import pad_at_least

DEMO_LAYERS, DEMO_WEIGHTS = (0, 1, 2), (1.0, 1.0, 1.0, 0.0)


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

    def __init__(
        self, tower: ClipTower, layers: Sequence[int] | None = None, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.tower = tower
        self.layers = list(layers) if layers is not None else _evenly_spaced(tower.num_layers)
        if not self.layers or not all(0 <= layer < tower.num_layers for layer in self.layers):
            raise ValueError(f"layers must be in 0 .. {tower.num_layers - 1} for this encoder, got {self.layers}")
        weights = list(weights) if weights is not None else [1.0] * (len(self.layers) + 1)
        if len(weights) != len(self.layers) + 1 or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"weights must be {len(self.layers) + 1} (one per layer, then the global embedding's), "
                             f"none negative, not all 0; got {weights}")
        self.has_embedding = weights[-1] > 0
        self.register_buffer("layer_weights", torch.tensor(weights) / sum(weights))

    @classmethod
    def from_pretrained(
        cls,
        pretrained: str = "demo",
        encoder: str = "ViT-B-16",
        layers: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        input_px: int | None = None,
    ) -> "MLCLIPSim":
        """Return the metric in eval mode on the weights `demo`, an open_clip tag, or a local file.

        Args:
            pretrained, encoder, input_px: see `load_clip_tower`.
            layers: indices of the layers compared.
            weights: one per layer, then the global embedding's; they are divided by their sum. Without both, `demo` has
                defaults of its own.
        """
        if pretrained == "demo" and layers is None and weights is None:
            layers, weights = DEMO_LAYERS, DEMO_WEIGHTS
        return cls(load_clip_tower(pretrained, encoder, input_px), layers, weights).eval()

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the similarities, (N,).

        Args:
            reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
            image: (N, 3, H, W), RGB in [0, 1].
        """
        return 1 - self.distance(reconstruction, image)

    def distance(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return 1 - similarity, (N,), without the cancellation of computing it so."""
        if self.training:
            reconstruction, image = shift(clamp_unit(reconstruction), image, self.tower.patch_px)
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
        tiles = tile(clamp_unit(image), self.tower.input_px)
        features = self.tower(tiles, self.layers, has_embedding=self.has_embedding)
        vectors = features.tokens if features.embedding is None else [*features.tokens, features.embedding]
        return Seen([each.unflatten(0, (len(image), -1)) for each in vectors])

    def _weigh(self, parts: Tensor) -> Tensor:
        weights = self.layer_weights[: parts.shape[1]]
        return (parts * weights).sum(1)  # a matrix product would go to bf16 under autocast


def _parts(distorted: Seen, seen: Seen) -> Tensor:
    pairs = zip(distorted.vectors, seen.vectors, strict=True)  # one original serves all by broadcasting
    return torch.stack([_one_minus_cos(a, b).flatten(1).mean(1) for a, b in pairs], 1)


class _ClampUnit(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient survives outside where following it leads back in."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, image: Tensor) -> Tensor:
        ctx.save_for_backward(image)
        return image.clamp(0, 1)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        (image,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch's stub lacks it
        excess = image - image.clamp(0, 1)
        return gradients[0].masked_fill(excess.mul_(gradients[0]) < 0, 0)  # of the other sign: it leads out


def clamp_unit(image: Tensor) -> Tensor:
    """Return the image clamped to [0, 1]; see `_ClampUnit` for its gradient."""
    clamped: Tensor = _ClampUnit.apply(image)
    return clamped


def tile(image: Tensor, size_px: int) -> Tensor:
    """Return the fewest square tiles that cover images, evenly spaced, (N * T, C, size_px, size_px), image by image."""
    image = pad_at_least(image, size_px)
    if image.shape[-2:] == (size_px, size_px):
        return image
    rows, columns = (_starts(side, size_px) for side in image.shape[-2:])
    tiles = [image[..., top : top + size_px, left : left + size_px] for top in rows for left in columns]
    return torch.stack(tiles, 1).flatten(0, 1)


def _starts(side_px: int, size_px: int) -> list[int]:
    num_tiles = -(-side_px // size_px)
    return [round(i * (side_px - size_px) / max(num_tiles - 1, 1)) for i in range(num_tiles)]


def shift(reconstruction: Tensor, image: Tensor, patch_px: int) -> tuple[Tensor, Tensor]:
    """Return each pair moved by its own random offset in [-patch_px / 2, patch_px / 2), its border mirrored."""
    margin = patch_px // 2
    offsets = torch.randint(0, 2 * margin, (len(image), 2)).tolist()
    return _move(reconstruction, offsets, margin), _move(image, offsets, margin)


def _move(image: Tensor, offsets: list[list[int]], margin: int) -> Tensor:
    height, width = image.shape[-2:]
    mode = "reflect" if min(height, width) > margin else "replicate"
    padded = F.pad(image, (margin, margin, margin, margin), mode=mode)
    moved = [one[:, top : top + height, left : left + width] for one, (top, left) in zip(padded, offsets, strict=True)]
    return torch.stack(moved)


def _one_minus_cos(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - cosine over the last axis, exactly 0 for equal vectors and never negative."""
    a, b = (vectors if vectors.dtype == torch.float64 else vectors.float() for vectors in (a, b))
    if b.requires_grad:  # else a quarter of autograd's work will do
        return (F.normalize(a, dim=-1) - F.normalize(b, dim=-1)).square().sum(-1) / 2
    distance: Tensor = _OneMinusCos.apply(a, b)
    return distance


class _OneMinusCos(torch.autograd.Function):
    """d = |u - v|^2 / 2 of u = a / |a| and v = b / |b|, with dd/da = (u - v - d u) / |a| in few passes over memory."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(a, dim=-1, keepdim=True).clamp_min_(1e-12)
        direction, difference = a / norm, F.normalize(b, dim=-1)
        difference = torch.sub(direction, difference, out=difference if difference.shape == a.shape else None)
        distance: Tensor = torch.linalg.vector_norm(difference, dim=-1, keepdim=True).square_().div_(2)
        ctx.save_for_backward(direction, difference, norm, distance)
        return distance.squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        direction, difference, norm, distance = ctx.saved_tensors
        gradient: Tensor = torch.addcmul(difference, direction, distance, value=-1)
        return gradient.mul_(gradients[0].unsqueeze(-1) / norm), None


def _evenly_spaced(num_layers: int, count: int = 4) -> list[int]:
    return sorted({-(-(i + 1) * num_layers // count) - 1 for i in range(count)})
