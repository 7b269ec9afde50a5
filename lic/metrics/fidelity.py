"""Fidelity of 8-bit images: what a decoder hands to a viewer."""

import torch
from pytorch_msssim import ms_ssim as _ms_ssim
from torch import Tensor

from lic.images import pad_at_least


def psnr_db(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB, (N,), over all of RGB; 100 if identical.

    Args:
        reconstruction, image: (N, 3, H, W), RGB in [0, 1].
    """
    return -10 * torch.log10((reconstruction - image).square().mean((1, 2, 3)).clamp(min=1e-10))


def ms_ssim(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the multi-scale structural similarity of each image (Wang et al. 2003), (N,), 1 = identical.

    Five scales need more than 160 px at the usual window of 11 px. Images with a smaller side are measured with a
    window of 7 px, and mirrored at the border up to 97 px if need be: their values compare among themselves only.

    Args:
        reconstruction, image: (N, 3, H, W), RGB in [0, 1].
    """
    window_px = 11 if min(image.shape[-2:]) > 160 else 7
    pair = pad_at_least(torch.cat([reconstruction, image]), 97)
    pair = pair.contiguous(memory_format=torch.channels_last)  # three times as fast on a CPU
    similarity: Tensor = _ms_ssim(*pair.chunk(2), data_range=1.0, size_average=False, win_size=window_px)
    return similarity
