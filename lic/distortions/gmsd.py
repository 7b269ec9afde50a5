"""GMSD (Xue et al. 2014, https://arxiv.org/abs/1308.3052): how unevenly gradients are kept.

    GMS = (2 m_x m_y + c) / (m_x^2 + m_y^2 + c),    GMSD = standard deviation of GMS over the image

m is the magnitude of the Prewitt gradient of the luma, halved in size. Values are those of piq 0.8 (Apache-2.0), whose
gradient is NaN wherever the magnitude or the deviation is 0: at identity and in every flat patch. Here both roots are
`vector_norm`, whose gradient at 0 is 0, the least of its subgradients.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lic.distortions.card import DistortionCard
from lic.distortions.pair import comparable, full_precision

LEAST_PX = 6  # three gradients a side, at half the size
STABILISER = 170 / 255**2  # c of the paper, for luma in [0, 1]
LUMA = (0.299, 0.587, 0.114)
_PREWITT = (1 / 3, 1 / 3, 1 / 3)


def gmsd(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the gradient magnitude similarity deviation of each image, (N,), in [0, 0.5], 0 = identical.

    A distortion that lowers the similarity everywhere alike goes unseen: that is the metric's definition.

    Args:
        reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
        image: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1].
    """
    with full_precision(image):
        pair = (_halved(luma(one)) for one in comparable(reconstruction, image, LEAST_PX))
        x, y = (gradient_magnitude(one, _PREWITT) for one in pair)
        similarity = similarity_map(x, y, STABILISER).flatten(1)
        deviation = similarity - similarity.mean(1, keepdim=True)
        length: Tensor = torch.linalg.vector_norm(deviation, dim=1)
        return length / math.sqrt(deviation.shape[1])


def similarity_map(x: Tensor, y: Tensor, stabiliser: float) -> Tensor:
    """Return 2 x y / (x^2 + y^2) place by place, (N, 1, H, W); 1 = equal."""
    similarity: Tensor = (2 * x * y + stabiliser) / (x.square() + y.square() + stabiliser)
    return similarity


def gradient_magnitude(plane: Tensor, kernel: tuple[float, float, float]) -> Tensor:
    """Return the length of the gradient, (N, 1, H, W), black beyond the border.

    Args:
        plane: (N, 1, H, W).
        kernel: smoothing across the difference [-1, 0, 1].
    """
    across = plane.new_tensor(kernel)[:, None] * plane.new_tensor([-1.0, 0.0, 1.0])
    gradients = F.conv2d(plane, torch.stack([across, across.T])[:, None], padding=1)
    length: Tensor = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    return length


def luma(image: Tensor) -> Tensor:
    """Return the luma of RGB (Rec. 601), (N, 1, H, W)."""
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def _halved(plane: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(plane, (0, plane.shape[-1] % 2, 0, plane.shape[-2] % 2)), 2)


CARD = DistortionCard("gmsd", 1200.0, lambda _: gmsd)
"""Scale: calibrated on the demo scenes (results/calibration)."""
