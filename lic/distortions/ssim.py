"""SSIM (Wang et al. 2004): luminance, contrast and structure in a sliding Gaussian window of 11 px.

At full resolution, the mean over the channels of RGB, as pytorch-msssim computes it. Not every SSIM is this one: piq's
first shrinks the image by round(shorter side / 256), so that 512 px lose half of it; the authors' code takes grey.
"""

import torch
from pytorch_msssim import ssim as _ssim
from torch import Tensor

from lic.distortions.card import DistortionCard
from lic.distortions.pair import comparable, full_precision

WINDOW_PX = 11


def ssim(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the structural similarity of each image, (N,), in [-1, 1], 1 = identical.

    Sides below 11 px are mirrored up to that (pytorch-msssim would skip the window there).

    Args:
        reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
        image: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1].
    """
    with full_precision(image):
        pair = (x.contiguous(memory_format=torch.channels_last) for x in comparable(reconstruction, image, WINDOW_PX))
        similarity: Tensor = _ssim(*pair, data_range=1.0, size_average=False, win_size=WINDOW_PX)
        return similarity


def ssim_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return 1 - SSIM of each image, (N,), in [0, 2]."""
    return 1 - ssim(reconstruction, image)


CARD = DistortionCard("ssim", 380.0, lambda _: ssim_distance)
"""Scale: calibrated on the demo scenes (results/calibration)."""
