"""Layers of CompressAI's transforms as a CPU runs them fast, and transforms tile by tile for images beyond memory.

At 768 x 512 the transforms take nine tenths of the time that the hyperprior codecs need, and GDN a quarter of that: its
full-size temporaries (50 MB each) go through memory several times; in a training step they go through it more often
still. The layers below give the same values and gradients up to rounding (1e-5); on a GPU they are CompressAI's and
torch's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from compressai.layers import GDN
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_ROWS = 2048  # of 128 channels: 1 MB, which stays in a core's cache


class CachedGDN(GDN):  # type: ignore[misc]  # CompressAI has no types
    """GDN (Ballé et al., arXiv 1511.06281) in pieces that fit the cache; without gradient in its input's place.

    In every model here the input is a convolution's output that nobody else sees; new memory would cost as much time as
    the arithmetic.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x / sqrt(beta + gamma x^2), or x times the root for the inverse; (N, C, H, W)."""
        if x.device.type != "cpu":
            normalised: Tensor = super().forward(x)
            return normalised
        beta, gamma = self.beta_reparam(self.beta), self.gamma_reparam(self.gamma)
        pixels = x.permute(0, 2, 3, 1)
        rows = pixels.reshape(-1, x.shape[1])
        if torch.is_grad_enabled():
            rows = _Normalise.apply(rows, beta, gamma, self.inverse)
        else:
            _normalise(rows, beta, gamma, self.inverse, rows, None)
        return rows.view(pixels.shape).permute(0, 3, 1, 2)


def _normalise(x: Tensor, beta: Tensor, gamma: Tensor, is_inverse: bool, output: Tensor, factor: Tensor | None) -> None:
    """Write GDN of x, (pixels, C), into `output`, and what x was multiplied by into `factor` if there is one."""
    beta, gamma = beta.to(x.dtype), gamma.to(x.dtype).t().contiguous()
    places = (x if factor is None else factor).split(_ROWS)
    for piece, normalised, place in zip(x.split(_ROWS), output.split(_ROWS), places, strict=True):
        norm = torch.addmm(beta, piece.square(), gamma, **({} if factor is None else {"out": place}))
        torch.mul(piece, norm.sqrt_() if is_inverse else norm.rsqrt_(), out=normalised)


class _Normalise(torch.autograd.Function):
    """GDN with its gradient: autograd's own goes through memory three times as often.

    With f = n^p, n = beta + gamma x^2, p = -1/2 (1/2 for the inverse), y = f x and u = dL/dy:

        dL/dx = f u + x (gamma^T v),   v = 2 dL/dn = 2 p u x f / n,   dL/dgamma = v (x^2)^T / 2,   dL/dbeta = v / 2
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: Tensor, gamma: Tensor, is_inverse: bool) -> Tensor:
        output, factor = torch.empty_like(x), torch.empty_like(x)
        _normalise(x, beta, gamma, is_inverse, output, factor)
        ctx.save_for_backward(x, factor, gamma)
        ctx.is_inverse = is_inverse
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, factor, gamma = ctx.saved_tensors
        sign = 1 if ctx.is_inverse else -1
        weights = (sign * gamma).to(x.dtype)
        result, for_beta, for_gamma = torch.empty_like(x), gamma.new_zeros(len(gamma)), torch.zeros_like(gamma)
        pieces = (each.split(_ROWS) for each in (x, factor, gradients[0], result))
        for piece, root, upper, place in zip(*pieces, strict=True):
            v = upper * piece
            v = v.div_(root) if ctx.is_inverse else v.mul_(root).mul_(root).mul_(root)
            for_gamma += v.t() @ piece.square()
            for_beta += v.sum(0)
            torch.mul(upper, root, out=place).addcmul_(piece, v @ weights)
        return result, for_beta * (sign / 2), for_gamma * (sign / 2), None


class SubpixelDeconvolution(nn.ConvTranspose2d):
    """A transposed 5 x 5 convolution of stride 2 to few channels, without gradient as a 3 x 3 one to 4 times as many.

    Output pixel 2q + r takes input pixel q + d through tap r - 2d + 2, d in -1 .. 1.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return (N, out_channels, 2 H, 2 W)."""
        if torch.is_grad_enabled() or x.device.type != "cpu":
            return super().forward(x, output_size)
        inputs, outputs = self.weight.shape[:2]
        kernel = self.weight.new_zeros(outputs, 2, 2, inputs, 3, 3)
        taps = [(r, d, r - 2 * d + 2) for r in range(2) for d in (-1, 0, 1) if 0 <= r - 2 * d + 2 < 5]
        for r, d, row in taps:
            for s, e, column in taps:
                kernel[:, r, s, :, d + 1, e + 1] = self.weight[:, :, row, column].t()
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return F.pixel_shuffle(F.conv2d(x, kernel.view(4 * outputs, inputs, 3, 3), bias, padding=1), 2)


class StridedPointwise(nn.Conv2d):
    """A strided 1 x 1 convolution as one without stride of every other pixel: the same values.

    With its own stride, torch 2.15 (oneDNN's jit_1x1) writes outside its memory when it computes the weight's gradient
    on a CPU from fewer than 16 input channels in channels-last order, as an image's three.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, H / stride, W / stride)."""
        down, right = self.stride
        return nn.functional.conv2d(x[..., ::down, ::right], self.weight, self.bias)


def quicken(network: nn.Module) -> None:
    """Give the layers of a network the methods above, in training too; parameters and their names stay."""
    for module in network.modules():
        if type(module) is GDN:
            module.__class__ = CachedGDN
        elif type(module) is nn.Conv2d and module.kernel_size == (1, 1) and module.stride != (1, 1):
            module.__class__ = StridedPointwise
        elif type(module) is nn.ConvTranspose2d and module.out_channels <= 4:
            is_doubling = module.kernel_size == (5, 5) and module.stride == (2, 2) and module.padding == (2, 2)
            if is_doubling and module.output_padding == (1, 1):
                module.__class__ = SubpixelDeconvolution


class Tiled(nn.Module):
    """A transform applied to overlapping tiles; of each tile's result the part away from its inner edges is kept.

    Args:
        transform: what is applied, to inputs whose sides are multiples of `step`.
        tile: side of what is kept of a tile, in input samples.
        overlap: added on every side that is not the image's, in input samples.
        ratio: output samples per input sample.
    """

    def __init__(self, transform: nn.Module, tile: int, overlap: int, ratio: float) -> None:
        super().__init__()
        self.transform, self.tile, self.overlap, self.ratio = transform, tile, overlap, ratio

    def forward(self, x: Tensor, *gains: Tensor) -> Tensor:
        """Return what the transform gives of x, (N, C, H, W), but for what more than the overlap away has a say in.

        Args:
            x: the input.
            gains: what else the transform takes, of every place alike.
        """
        height, width = x.shape[-2:]
        rows = []
        for top in range(0, height, self.tile):
            row = [self._piece(x, top, left, gains) for left in range(0, width, self.tile)]
            rows.append(torch.cat(row, 3))
        return torch.cat(rows, 2)

    def _piece(self, x: Tensor, top: int, left: int, gains: tuple[Tensor, ...]) -> Tensor:
        height, width = x.shape[-2:]
        above, before = max(top - self.overlap, 0), max(left - self.overlap, 0)
        bottom, right = min(top + self.tile, height), min(left + self.tile, width)
        seen = x[:, :, above : bottom + self.overlap, before : right + self.overlap]
        result: Tensor = self.transform(seen, *gains)
        start = [round((a - b) * self.ratio) for a, b in ((top, above), (left, before))]
        size = [round((a - b) * self.ratio) for a, b in ((bottom, top), (right, left))]
        return result[:, :, start[0] : start[0] + size[0], start[1] : start[1] + size[1]].clone()


@contextmanager
def tiling(network: nn.Module, tile_px: int, overlap_px: int) -> Iterator[None]:
    """Apply a network's analysis (g_a) and synthesis (g_s) tile by tile; both have stride 16."""
    analysis, synthesis = network.g_a, network.g_s
    assert isinstance(analysis, nn.Module) and isinstance(synthesis, nn.Module)
    network.g_a = Tiled(analysis, tile_px, overlap_px, 1 / 16)
    network.g_s = Tiled(synthesis, tile_px // 16, overlap_px // 16, 16)
    try:
        yield
    finally:
        network.g_a, network.g_s = analysis, synthesis
