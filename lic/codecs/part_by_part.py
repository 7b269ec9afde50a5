"""Codecs that decode their latent part by part, each part given those before: one loop for all that is done with it.

Training estimates a part, the encoder writes it, the decoder reads it. What comes before and after, contexts above all,
is the same code, so that the three cannot disagree.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from torch import Tensor

from lic.codecs.checkerboard import gather, scatter

CodePass = Callable[[int, int, Tensor, Tensor], Tensor]
"""(group of channels, parity, scales, means) -> the dequantised half; all of them (B, C, H, W / 2)."""


class PartByPart:
    """What a network with CompressAI's `g_a` and `g_s` computes once `decode_latent` says what a part is given.

    A part is one colour of the checkerboard in one group of channels. Residuals, that is latent minus mean, are
    multiplied by a gain before they are rounded; at 1 this is a codec of a single rate.
    """

    def sizes(self) -> Sequence[int]:
        """Return the channels of each group."""
        raise NotImplementedError

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """Return the hyper latent (B, N, H / 64, W / 64) of a latent (B, M, H / 16, W / 16)."""
        raise NotImplementedError

    def bottleneck(self) -> EntropyBottleneck:
        """Return the hyper latent's entropy model."""
        raise NotImplementedError

    def gaussian(self, group: int) -> GaussianConditional:
        """Return the entropy model of a group."""
        raise NotImplementedError

    def decode_latent(self, z_hat: Tensor, code: CodePass, gain: Tensor | float) -> Tensor:
        """Return the decoder's latent (B, M, H / 16, W / 16); `code` gives each half of it in turn."""
        raise NotImplementedError

    def gain_at(self, **point: Any) -> Tensor | float:
        """Return what residuals are multiplied by at an operating point, of which a codec of one rate has none."""
        assert not point, point
        return 1.0

    def dequantise(self, symbols: Tensor, scales: Tensor, gain: Tensor | float) -> Tensor:
        """Return the residuals of symbols; the scales are those of the symbols."""
        return symbols / gain

    def forward(self: Any, x: Tensor, **point: Any) -> dict[str, Any]:
        """Return the reconstruction and likelihoods.

        The decoder's latent is rounded, straight-through; in training the likelihoods are those of a latent with
        uniform noise in place of rounding (mixed quantisation, Minnen & Singh 2020, arXiv 2007.08739).

        Args:
            x: (B, 3, H, W), RGB in [0, 1], sides multiples of 64.
            point: see `gain_at`.

        Returns:
            `x_hat` (B, 3, H, W); `likelihoods`: `y` (B, M, H / 16, W / 16) and `z` (B, N, H / 64, W / 64), in fp32.
        """
        gain, y = self.gain_at(**point), self.g_a(_channels_last(x))
        z = self.hyper_analysis(y).float()
        groups = y.float().split(self.sizes(), 1)
        likelihoods: list[Tensor] = []

        def estimate(group: int, parity: int, scales: Tensor, means: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                scales, means = scales.float() * gain, means.float()
                residual = (gather(groups[group], parity) - means) * gain
                likelihoods.append(scatter(self.gaussian(group)(residual, scales)[1], parity))
                half: Tensor = self.dequantise(_round(residual), scales, gain) + means
                return half

        with torch.autocast(x.device.type, enabled=False):
            _, z_likelihoods = self.bottleneck()(z)
            medians = self.bottleneck()._get_medians().detach()
            z_hat = _round(z - medians) + medians
        x_hat = self.g_s(self.decode_latent(z_hat, estimate, gain))
        y_likelihoods = [one + other for one, other in zip(likelihoods[::2], likelihoods[1::2], strict=True)]
        return {"x_hat": x_hat, "likelihoods": {"y": torch.cat(y_likelihoods, 1), "z": z_likelihoods}}

    def compress(self: Any, x: Tensor, **point: Any) -> dict[str, Any]:
        """Return the strings of each part, the hyper latent's last, and the hyper latent's height and width.

        The range coder is called in the decoder's order: z; then both colours of group 0, of group 1, ...

        Args:
            x: (B, 3, H, W), RGB in [0, 1], sides multiples of 64.
            point: see `gain_at`.
        """
        gain, y = self.gain_at(**point), self.g_a(_channels_last(x))
        z = self.hyper_analysis(y)
        z_strings = self.bottleneck().compress(z)
        z_hat = self.bottleneck().decompress(z_strings, z.shape[-2:])
        groups = y.split(self.sizes(), 1)
        strings: list[Any] = []

        def encode(group: int, parity: int, scales: Tensor, means: Tensor) -> Tensor:
            scales, residual = scales * gain, (gather(groups[group], parity) - means) * gain
            indexes = self.gaussian(group).build_indexes(scales)
            strings.append(self.gaussian(group).compress(residual, indexes))
            half: Tensor = self.dequantise(residual.round(), scales, gain) + means
            return half

        self.decode_latent(z_hat, encode, gain)
        return {"strings": [*strings, z_strings], "shape": z.shape[-2:]}

    def decompress(self: Any, strings: list[Any], shape: tuple[int, int], **point: Any) -> dict[str, Any]:
        """Return the reconstruction `x_hat` (B, 3, H, W), not clamped, of what `compress` returned."""
        gain = self.gain_at(**point)
        z_hat = self.bottleneck().decompress(strings[-1], shape)
        parts = iter(strings[:-1])

        def decode(group: int, _: int, scales: Tensor, means: Tensor) -> Tensor:
            scales = scales * gain
            indexes = self.gaussian(group).build_indexes(scales)
            symbols = self.gaussian(group).decompress(next(parts), indexes)
            half: Tensor = self.dequantise(symbols, scales, gain) + means
            return half

        return {"x_hat": self.g_s(self.decode_latent(z_hat, decode, gain))}


def _round(values: Tensor) -> Tensor:
    """Return rounded values, exactly as when they are coded, with the gradient of the values."""
    return values.round().detach() + (values - values.detach())


def _channels_last(tensor: Tensor) -> Tensor:
    """Return a tensor in the memory format that convolutions are fastest in."""
    return tensor.contiguous(memory_format=torch.channels_last)
