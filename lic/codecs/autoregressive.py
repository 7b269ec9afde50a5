"""Autoregressive codecs (mbt2018, cheng2020 and their variable-rate form) on the shared string.

CompressAI codes each position of the latent after the positions above and to the left; its two loops, one for the
encoder and one for the decoder, drive its own range coder. Here one loop serves both, so that they cannot disagree:
the entropy model's `compress` writes what its `decompress` gives back (lic/codecs/entropy_models.py).
"""

from typing import Any

import torch
import torch.nn.functional as F
from compressai.models import Cheng2020Anchor, Cheng2020Attention, JointAutoregressiveHierarchicalPriors
from compressai.models.vbr import JointAutoregressiveHierarchicalPriorsVbr
from torch import Tensor


class _Autoregressive:
    """What replaces CompressAI's `_compress_ar` and `_decompress_ar`."""

    def _compress_ar(self, y_hat: Tensor, *layout: Any) -> None:
        self._code(y_hat, True, *layout)

    def _decompress_ar(self, _: None, y_hat: Tensor, *layout: Any) -> None:
        self._code(y_hat, False, *layout)

    def _code(
        self: Any, y_hat: Tensor, is_encoder: bool, params: Tensor, height: int, width: int, kernel_size: int,
        padding: int, scale: Tensor | float = 1.0, rescale: Tensor | float = 1.0, stage: int = 1,
    ) -> None:  # fmt: skip
        """Code every position in raster order, putting its decoded value in place.

        Args:
            y_hat: (1, M, height + 2 padding, width + 2 padding), the latent (encoder) or zeros (decoder); changed.
            is_encoder: whether y_hat holds the latent to code.
            params: (1, 2 M, height, width), from the hyper latent.
            height, width, kernel_size, padding: of the latent, and of the context's window.
            scale, rescale, stage: a variable-rate codec's gain and its inverse; stage 1 is without.
        """
        model = self.gaussian_conditional
        weight = self.context_prediction.weight * self.context_prediction.mask
        bias = self.context_prediction.bias.view(1, -1, 1, 1)
        if stage == 2:
            bias = bias + self.scale_to_context(scale.view(1, 1)).view(1, -1, 1, 1)  # type: ignore[union-attr]  # a module
        for row in range(height):
            for column in range(width):
                window = y_hat[:, :, row : row + kernel_size, column : column + kernel_size]
                context = F.conv2d(window, weight) + bias
                here = torch.cat((params[:, :, row : row + 1, column : column + 1], context), dim=1)
                scales, means = self.entropy_parameters(here).chunk(2, 1)
                indexes = model.build_indexes(scales * scale)
                centre = window[:, :, padding : padding + 1, padding : padding + 1]
                strings = model.compress((centre - means) * scale, indexes) if is_encoder else [None]
                symbols = model.decompress(strings, indexes)
                if stage == 2:
                    symbols = symbols - symbols.sign() * self._offsets(scales * scale, scale)
                centre.copy_(symbols * rescale + means)

    def _offsets(self: Any, scales: Tensor, gain: Tensor) -> Tensor:
        """Return how far a quantised value lies from its reconstruction, towards zero (Kamisli et al. 2024)."""
        bounded = self.gaussian_conditional.lower_bound_scale(scales)
        offsets: Tensor = self.QuantABCD(torch.stack((bounded, gain.expand(bounded.shape)), -1)).squeeze(-1)
        return offsets


class Mbt2018(_Autoregressive, JointAutoregressiveHierarchicalPriors):  # type: ignore[misc]  # CompressAI has no types
    """Minnen et al. 2018, with context."""


class Mbt2018Vbr(_Autoregressive, JointAutoregressiveHierarchicalPriorsVbr):  # type: ignore[misc]  # the same
    """The same at variable rate."""


class ChengAnchor(_Autoregressive, Cheng2020Anchor):  # type: ignore[misc]  # the same
    """Cheng et al. 2020 without attention."""


class ChengAttention(_Autoregressive, Cheng2020Attention):  # type: ignore[misc]  # the same
    """Cheng et al. 2020 with attention."""
