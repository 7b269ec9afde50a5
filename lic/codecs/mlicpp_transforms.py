"""The transforms of MLIC++: image <-> latent <-> hyper latent (arXiv 2307.15421, section 3; blocks of CompressAI)."""

from compressai.layers import ResidualBlock, ResidualBlockUpsample, ResidualBlockWithStride, conv3x3, subpel_conv3x3
from torch import nn

from lic.codecs.inference import StridedPointwise


def analysis(num_channels: int, num_latent_channels: int) -> nn.Sequential:
    """Return g_a: an image (B, 3, H, W) -> its latent y (B, M, H / 16, W / 16)."""
    n = num_channels
    return _with_gelu(
        ResidualBlockWithStride(3, n, stride=2),
        ResidualBlock(n, n),
        ResidualBlockWithStride(n, n, stride=2),
        ResidualBlock(n, n),
        ResidualBlockWithStride(n, n, stride=2),
        ResidualBlock(n, n),
        conv3x3(n, num_latent_channels, stride=2),
    )


def synthesis(num_channels: int, num_latent_channels: int, is_old: bool = False) -> nn.Sequential:
    """Return g_s: a latent (B, M, H / 16, W / 16) -> a reconstruction (B, 3, H, W).

    Args:
        num_channels, num_latent_channels: N and M.
        is_old: narrow to N in the first block, not in the second: the official SynthesisTransformOld.
    """
    n, m = num_channels, num_latent_channels
    first = n if is_old else m
    return _with_gelu(
        ResidualBlock(m, first),
        ResidualBlockUpsample(first, n, 2),
        ResidualBlock(n, n),
        ResidualBlockUpsample(n, n, 2),
        ResidualBlock(n, n),
        ResidualBlockUpsample(n, n, 2),
        ResidualBlock(n, n),
        subpel_conv3x3(n, 3, 2),
    )


def hyper_analysis(num_channels: int, num_latent_channels: int) -> nn.Sequential:
    """Return h_a: a latent y (B, M, H / 16, W / 16) -> the hyper latent z (B, N, H / 64, W / 64)."""
    n = num_channels
    return nn.Sequential(
        conv3x3(num_latent_channels, n),
        nn.GELU(),
        conv3x3(n, n),
        nn.GELU(),
        conv3x3(n, n, stride=2),
        nn.GELU(),
        conv3x3(n, n),
        nn.GELU(),
        conv3x3(n, n, stride=2),
    )


def hyper_synthesis(num_channels: int, num_latent_channels: int) -> nn.Sequential:
    """Return h_s: a hyper latent (B, N, H / 64, W / 64) -> side information for y, (B, 2 M, H / 16, W / 16)."""
    m = num_latent_channels
    return nn.Sequential(
        conv3x3(num_channels, m),
        nn.GELU(),
        subpel_conv3x3(m, m, 2),
        nn.GELU(),
        conv3x3(m, m * 3 // 2),
        nn.GELU(),
        subpel_conv3x3(m * 3 // 2, m * 3 // 2, 2),
        nn.GELU(),
        conv3x3(m * 3 // 2, m * 2),
    )


def _with_gelu(*blocks: nn.Module) -> nn.Sequential:
    """Return CompressAI's blocks in sequence with GELU in the place of leaky ReLU, and a skip that can be trained."""
    for block in blocks:
        if hasattr(block, "leaky_relu"):
            block.leaky_relu = nn.GELU()
        if isinstance(block, ResidualBlockWithStride):
            block.skip.__class__ = StridedPointwise
    return nn.Sequential(*blocks)
