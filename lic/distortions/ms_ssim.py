"""MS-SSIM (Wang et al. 2003): contrast and structure at five scales, luminance at the coarsest."""

import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim as _ms_ssim
from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim
from torch import Tensor

from lic.distortions.card import DistortionCard
from lic.distortions.pair import comparable, full_precision

LARGE_PIXELS, STRIP_ROWS = 2**22, 256
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, the finest first (Wang et al. 2003, section 3.2)."""


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
        if pair.shape[-2] * pair.shape[-1] > LARGE_PIXELS and not torch.is_grad_enabled():
            return _in_strips(pair[: len(pair) // 2], pair[len(pair) // 2 :], window_px)
        pair = pair.contiguous(memory_format=torch.channels_last)  # three times as fast on a CPU
        similarity: Tensor = _ms_ssim(*pair.chunk(2), data_range=1.0, size_average=False, win_size=window_px)
        return similarity


def _in_strips(first: Tensor, second: Tensor, window_px: int) -> Tensor:
    """Return what pytorch_msssim's `ms_ssim` does; its maps, ten times the images, are made some rows at a time."""
    window = _fspecial_gauss_1d(window_px, 1.5).repeat(first.shape[1], 1, 1, 1)
    factors = []
    for level in range(len(WEIGHTS)):
        similarity, contrast = _means(first, second, window)
        factors.append(similarity if level == len(WEIGHTS) - 1 else contrast)
        padding = [side % 2 for side in first.shape[2:]]
        first, second = (F.avg_pool2d(each, 2, padding=padding) for each in (first, second))
    exponents = first.new_tensor(WEIGHTS)[:, None, None]
    return (torch.stack(factors).relu() ** exponents).prod(0).mean(1)


def _means(first: Tensor, second: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means of SSIM and of contrast over a scale, each (N, 3)."""
    around = window.shape[-1] - 1
    num_rows = first.shape[-2] - around
    total = first.new_zeros(2, *first.shape[:2])
    for top in range(0, num_rows, STRIP_ROWS):
        rows = min(STRIP_ROWS, num_rows - top)
        strips = (each[..., top : top + rows + around, :] for each in (first, second))
        total += rows * torch.stack(_ssim(*strips, data_range=1.0, win=window, size_average=False))
    similarity, contrast = total / num_rows
    return similarity, contrast


def ms_ssim_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return 1 - MS-SSIM of each image, (N,), in [0, 1]."""
    return 1 - ms_ssim(reconstruction, image)


CARD = DistortionCard("ms-ssim", 600.0, lambda _: ms_ssim_distance)
"""Scale: calibrated on the demo scenes (results/calibration)."""
