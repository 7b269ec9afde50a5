"""Blocks and transforms of DCVC-UF's intra codec: image <-> latent <-> hyper latent.

Own code after the CVPR 2026 paper (arXiv 2606.04410) and github.com/microsoft/DCVC (MIT), commit 54e8864,
src/models/image_model.py and src/layers/layers.py. Everything large runs at stride 8 or 16, in 1 x 1 and depthwise
3 x 3 convolutions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 8
"""Side of the squares of pixels that become channels at both ends."""
RED, GREEN, BLUE = 0.2126, 0.7152, 0.0722
"""Shares of luma (ITU-R BT.709)."""


def to_ycbcr(image: Tensor) -> Tensor:
    """Return YCbCr about 0, in -0.5 .. 0.5, of RGB in [0, 1]; (B, 3, H, W)."""
    red, green, blue = image.chunk(3, 1)
    luma = RED * red + GREEN * green + BLUE * blue
    return torch.cat([luma - 0.5, 0.5 * (blue - luma) / (1 - BLUE), 0.5 * (red - luma) / (1 - RED)], 1)


def to_rgb(image: Tensor) -> Tensor:
    """Return the inverse, not clamped."""
    luma, for_blue, for_red = image.chunk(3, 1)
    luma = luma + 0.5
    red, blue = luma + (2 - 2 * RED) * for_red, luma + (2 - 2 * BLUE) * for_blue
    return torch.cat([red, (luma - RED * red - BLUE * blue) / GREEN, blue], 1)


class SharpSiLU(nn.Module):
    """x sigmoid(4 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        return F.silu(4 * x) / 4


class SumOfFours(SharpSiLU):
    """The activation, then the sum of each four neighbouring channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C / 4, H, W) of (B, C, H, W)."""
        summed: Tensor = super().forward(x).unflatten(1, (-1, 4)).sum(2)
        return summed


class DepthBlock(nn.Module):
    """Depthwise 3 x 3 and pointwise convolutions with two residual connections.

    Args:
        inputs, outputs: channels.
        has_adaptor: a 1 x 1 convolution comes first though the channels are as many.
        has_shortcut: a third residual connection, around both.
    """

    def __init__(self, inputs: int, outputs: int, has_adaptor: bool = False, has_shortcut: bool = False) -> None:
        super().__init__()
        self.adaptor = nn.Conv2d(inputs, outputs, 1) if has_adaptor or inputs != outputs else nn.Identity()
        self.spatial = nn.Sequential(
            nn.Conv2d(outputs, outputs, 1),
            SharpSiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs),
            nn.Conv2d(outputs, outputs, 1),
        )
        self.pointwise = nn.Sequential(
            nn.Conv2d(outputs, 4 * outputs, 1), SumOfFours(), nn.Conv2d(outputs, outputs, 1)
        )
        self.has_shortcut = has_shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H, W) of (B, inputs, H, W)."""
        x = self.adaptor(x)
        mixed = self.spatial(x) + x
        result: Tensor = self.pointwise(mixed) + mixed
        return result + x if self.has_shortcut else result


class Doubling(nn.Module):
    """Twice the height and width, then a block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Conv2d(inputs, 4 * outputs, 1, bias=False)
        self.block = DepthBlock(outputs, outputs, has_shortcut=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, 2 H, 2 W)."""
        doubled: Tensor = self.block(F.pixel_shuffle(self.up(x), 2))
        return doubled


class Halving(nn.Module):
    """Half the height and width, then a block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(4 * inputs, outputs, 1)
        self.block = DepthBlock(outputs, outputs, has_shortcut=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / 2, W / 2)."""
        halved: Tensor = self.block(self.down(F.pixel_unshuffle(x, 2)))
        return halved


def _blocks(channels: int, count: int) -> list[DepthBlock]:
    return [DepthBlock(channels, channels) for _ in range(count)]


class Analysis(nn.Module):
    """An image (B, 3, H, W) -> its latent (B, M, H / 16, W / 16); a gain multiplies what the first block gives."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.first = DepthBlock(3 * PATCH**2, n)
        self.rest = nn.Sequential(*_blocks(n, 6), nn.Conv2d(n, m, 3, stride=2, padding=1))

    def forward(self, x: Tensor, gain: Tensor) -> Tensor:
        """Return the latent, given the gain, (B, N, 1, 1)."""
        latent: Tensor = self.rest(self.first(F.pixel_unshuffle(x, PATCH)) * gain)
        return latent


class Synthesis(nn.Module):
    """A latent (B, M, H / 16, W / 16) -> an image (B, 3, H, W); a gain multiplies what the last block sees."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.first = nn.Sequential(Doubling(m, n), *_blocks(n, 12))
        self.last = DepthBlock(n, 3 * PATCH**2)

    def forward(self, x: Tensor, gain: Tensor) -> Tensor:
        """Return the image, given the gain, (B, N, 1, 1)."""
        return F.pixel_shuffle(self.last(self.first(x) * gain), PATCH)


def hyper_analysis(m: int) -> nn.Sequential:
    """Return h_a: a latent (B, M, H / 16, W / 16) -> the hyper latent (B, M / 2, H / 64, W / 64)."""
    z = m // 2
    return nn.Sequential(DepthBlock(m, z), Halving(z, z), Halving(z, z))


def hyper_synthesis(m: int) -> nn.Sequential:
    """Return h_s: a hyper latent (B, M / 2, H / 64, W / 64) -> side information (B, M, H / 16, W / 16)."""
    z = m // 2
    return nn.Sequential(Doubling(z, z), Doubling(z, z), DepthBlock(z, m))


def parameters_from(inputs: int, m: int) -> nn.Sequential:
    """Return a network from so many channels to a latent's scales and means, (B, 2 M, H / 16, W / 16)."""
    wide = 2 * m
    return nn.Sequential(DepthBlock(inputs, wide), *_blocks(wide, 2), nn.Conv2d(wide, wide, 1))
