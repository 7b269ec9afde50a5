"""MS-SSIM (Wang et al. 2003): contrast and structure at five scales, luminance at the coarsest."""

import torch
from pytorch_msssim import ms_ssim as _ms_ssim
from torch import Tensor

from lic.distortions.card import DistortionCard
from lic.distortions.pair import comparable, full_precision


def ms_ssim(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the multi-scale structural similarity of each image, (N,), in [0, 1], 1 = identical.

    Five scales need more than 160 px at the usual window of 11 px. Images with a smaller side are measured with a
    window of 7 px, and mirrored at the border up to 97 px if need be: their values compare among themselves only.

    A scale at which a channel correlates negatively counts as 0, and with it the channel, gradient and all: start
    training from mse, as the default recipe does.

    Args:
        reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
        image: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1].
    """
    window_px = 11 if min(image.shape[-2:]) > 160 else 7
    with full_precision(image):
        pair = torch.cat(comparable(reconstruction, image, 97))
        pair = pair.contiguous(memory_format=torch.channels_last)  # three times as fast on a CPU
        similarity: Tensor = _ms_ssim(*pair.chunk(2), data_range=1.0, size_average=False, win_size=window_px)
        return similarity


def ms_ssim_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return 1 - MS-SSIM of each image, (N,), in [0, 1]."""
    return 1 - ms_ssim(reconstruction, image)


CARD = DistortionCard("ms-ssim", 600.0, lambda _: ms_ssim_distance)
"""Scale: calibrated on the demo scenes (results/calibration)."""
