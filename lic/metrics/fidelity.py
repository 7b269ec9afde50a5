"""Fidelity of 8-bit images: what a decoder hands to a viewer."""

import torch
from torch import Tensor

from lic.distortions.ms_ssim import ms_ssim
from lic.distortions.pair import check_sizes

__all__ = ["ms_ssim", "psnr_db"]


def psnr_db(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB, (N,), over all of RGB; 100 if identical.

    Args:
        reconstruction, image: (N, 3, H, W), RGB in [0, 1].

    Raises:
        ValueError: they differ in size.
    """
    check_sizes(reconstruction, image)
    return -10 * torch.log10((reconstruction - image).square().mean((1, 2, 3)).clamp(min=1e-10))
