"""Distances between two images' features, as in Ghildyal et al. 2025 (arXiv 2409.07650, section 3).

The paper names them; what they are is taken from its code, `distances.py` and `run_single_img.py` of abhijay9/ZS-IQA
(commit 1d8c1ce, BSD-2-Clause), and written anew for batches, any backbone, and the processor too:

    cos   1 - cosine of corresponding tokens, mean over tokens; per layer
    l2    mean squared difference; per layer
    swd   sliced Wasserstein: features of all layers, a point per token and channel in the space of the layers,
          projected on as many random unit directions, sorted; squared difference, mean over directions, sum over points
    wsd, jsd, skld
          features of all layers as 64 rows; per column a distance d between two distributions over the rows
          (Wasserstein-1, Jensen-Shannon, symmetric Kullback-Leibler divergence); to wsd and skld the columns' squared
          difference is added with the weight exp(1 / (2 (d + 10))) / (d + 10)^2; mean over columns; ln(1 + .)^(1/4)

`cos`, `l2` and `swd` have gradients everywhere. The fourth root of the rest is infinitely steep at identical images:
they are for measuring.

Odd in the code, and kept: its "8 x 8 windows" are the features in memory order cut into 64 rows, no windows; to that
end the numbers of tokens and channels are rounded to multiples of 8, which drops the last tokens (50 -> 48); the
softmax of wsd runs over the columns, so that the masses of two images differ, and what POT's `wasserstein_1d` then
computes is the sum of the differences of the cumulated masses up to the last row but one.

Different here: all is fp32 (CLIP ran in half precision). The random directions are drawn once, not for each window. In
`cos` a token of zeros, as ReLU leaves them, has distance 0 to another, 1/2 to the rest (there 1, or NaN and skipped).
Backbones whose layers differ in shape, for which the code has no distribution distances, get them layer by layer. `cos`
of feature maps compares channels (the code, for CLIP's ResNet and ConvNeXt, compares along the rows of the maps).
"""

from collections.abc import Sequence
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from lic.distortions.cosine import one_minus_cos
from lic.settings.names import FeatureDistance

DIFFERENTIABLE: tuple[FeatureDistance, ...] = ("cos", "l2", "swd")
_ROWS, _WINDOW, _EPSILON = 64, 8, 1e-10


def feature_distances(name: FeatureDistance, one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
    """Return the distance at each layer, or of all at once if the distance takes them so, (...) each; 0 = identical.

    Args:
        name: of the distance.
        one, other: by layer (..., L, C), in fp32; their leading axes broadcast.
    """
    match name:
        case "cos":
            return [one_minus_cos(a, b).mean(-1) for a, b in zip(one, other, strict=True)]
        case "l2":
            return [(a - b).square().mean((-2, -1)) for a, b in zip(one, other, strict=True)]
        case "swd":
            return [_sliced_wasserstein(*pair) for pair in zip(_stacked(one), _stacked(other), strict=True)]
        case "wsd" | "jsd" | "skld":
            pairs = zip(_stacked(one), _stacked(other), strict=True)
            return [_of_distributions(name, _rows(a), _rows(b)) for a, b in pairs]
        case _:
            assert_never(name)


def _stacked(layers: Sequence[Tensor]) -> list[Tensor]:
    """Return layers of one shape as one, (..., K, L, C); others as they are, with K = 1."""
    if len({layer.shape for layer in layers}) == 1:
        return [torch.stack(list(layers), -3)]
    return [layer.unsqueeze(-3) for layer in layers]


def _sliced_wasserstein(a: Tensor, b: Tensor) -> Tensor:
    num_layers = a.shape[-3]
    generator = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(num_layers, num_layers, generator=generator)).to(a)
    x, y = (one.flatten(-2) for one in (a, b))
    squared = [
        ((direction[:, None] * x).sum(-2).sort(-1).values - (direction[:, None] * y).sum(-2).sort(-1).values).square()
        for direction in directions  # a matrix product would go to bf16 in autocast
    ]
    return torch.stack(squared).mean(0).sum(-1)


def _rows(stack: Tensor) -> Tensor:
    """Return (..., K, L, C) features as (..., 64, columns), tokens and channels cut or padded to multiples of 8."""
    num_tokens, num_channels = (max(1, round(side / _WINDOW)) * _WINDOW for side in stack.shape[-2:])
    missing_tokens, missing_channels = num_tokens - stack.shape[-2], num_channels - stack.shape[-1]
    padded = F.pad(stack, (missing_channels, 0, 0, missing_tokens))  # negative: cut
    rows: Tensor = padded.flatten(-3).unflatten(-1, (_ROWS, -1))
    return rows


def _of_distributions(name: FeatureDistance, a: Tensor, b: Tensor) -> Tensor:
    squared = (a - b).square().sum(-2)
    if name == "wsd":
        mass_a, mass_b = (rows.softmax(-1).cumsum(-2) for rows in (a, b))
        distance = (mass_a - mass_b)[..., :-1, :].abs().sum(-2)
        return _compressed(distance + squared * _weight(distance))
    p, q = (rows.softmax(-2) + _EPSILON for rows in (a, b))
    if name == "skld":
        distance = ((p - q) * (p.log() - q.log())).sum(-2) / 2
        return _compressed(distance + squared * _weight(distance))
    middle = ((p + q) / 2).log()
    return _compressed((p * (p.log() - middle) + q * (q.log() - middle)).sum(-2) / 2)


def _weight(distance: Tensor) -> Tensor:
    return (1 / (2 * (distance + 10))).exp() / (distance + 10).square()


def _compressed(columns: Tensor) -> Tensor:
    """Return ln(1 + mean)^(1/4), 0 with gradient 0 where rounding leaves nothing."""
    mean = columns.mean(-1)
    is_positive = mean > 0
    return torch.where(is_positive, torch.where(is_positive, mean, 1).log1p() ** 0.25, 0)
