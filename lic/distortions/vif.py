"""VIF in the pixel domain (Sheikh and Bovik 2006, doi 10.1109/TIP.2005.859378): how much of the reference's
information the reconstruction still carries.

    VIF = sum log(1 + g^2 s_y^2 / (s_v^2 + 2)) / sum log(1 + s_y^2 / 2)

over Gaussian windows at four scales of the luma in 0 .. 255: x = g y + v is the reconstruction in a window, s_y and s_v
are standard deviations, and 2 is the variance of the eye's own noise. The formula and its border cases are those of
piq 0.8 (vif.py, Apache-2.0), in float64: in float32 rounding lends information to flat patches (a flat reference and
noise get 0.2 instead of 1). Windows are applied by rows, then columns; piq's square ones take 10 s in float64.
"""

import torch
from torch import Tensor

from lic.distortions.card import DistortionCard
from lic.distortions.gmsd import luma
from lic.distortions.pair import comparable, full_precision

LEAST_PX = 41  # the window of 17 px at the first scale, and windows at three halved ones
WINDOWS_PX = (17, 9, 5, 3)
EYE_NOISE = 2.0
TINY = 1e-8


def vif(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the visual information fidelity of each image, (N,), 1 = identical, 0 = nothing left.

    It is not symmetric, and exceeds 1 where the reconstruction has more contrast. A wholly flat reference holds no
    information: any reconstruction gets 1. Sides below 41 px are mirrored up to that.

    The images' range matters, for the eye's noise is absolute: torchmetrics expects 0 .. 255 and returns about 1 for
    images in [0, 1].

    Args:
        reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
        image: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1].
    """
    with full_precision(image):
        pair = comparable(reconstruction, image, LEAST_PX)
        x, y = (255 * luma(one.double()) for one in pair)
        kept, whole = torch.zeros_like(x[:, 0, 0, 0]), torch.zeros_like(x[:, 0, 0, 0])
        for scale, window_px in enumerate(WINDOWS_PX):
            if scale:
                x, y = (_blur(one, window_px)[..., ::2, ::2] for one in (x, y))
            information = _information(x, y, window_px)
            kept, whole = (total + more for total, more in zip((kept, whole), information, strict=True))
        return ((kept + TINY) / (whole + TINY)).to(pair[0].dtype)


def vif_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return 1 - VIF of each image, (N,), in [0, 1]; 0 also where the reconstruction has more contrast.

    The upper limit is piq's, for its loss: without it, raising the contrast would pay more than keeping the image.
    """
    return 1 - vif(reconstruction, image).clamp(max=1)


def _information(x: Tensor, y: Tensor, window_px: int) -> tuple[Tensor, Tensor]:
    """Return the information about y kept in x, and that of y, summed over the windows, (N,) each."""
    mean_x, mean_y, square_x, square_y, product = _blur(torch.cat([x, y, x * x, y * y, x * y], 1), window_px).unbind(1)
    variance_x = (square_x - mean_x.square()).relu()
    variance_y = (square_y - mean_y.square()).relu()
    covariance = product - mean_x * mean_y
    has_both = (variance_x >= TINY) & (variance_y >= TINY) & (covariance >= 0)
    gain = torch.where(has_both, covariance / (variance_y + TINY), 0)
    lost = torch.where(has_both, variance_x - gain * covariance, variance_x).clamp(min=TINY)
    variance_y = torch.where(variance_y >= TINY, variance_y, 0)
    kept = torch.log10(1 + gain.square() * variance_y / (lost + EYE_NOISE))
    return kept.sum((1, 2)), torch.log10(1 + variance_y / EYE_NOISE).sum((1, 2))


def _blur(planes: Tensor, window_px: int) -> Tensor:
    """Return the means in Gaussian windows that lie wholly inside, (N, C, H - window_px + 1, W - window_px + 1)."""
    places = torch.arange(window_px) - window_px // 2
    taps = (-(places.double() ** 2) / (2 * (window_px / 5) ** 2)).exp()
    for axis in (-2, -1):
        size = planes.shape[axis] - window_px + 1
        shifted = (planes.narrow(axis, start, size) for start in range(window_px))
        planes = sum(tap * part for tap, part in zip((taps / taps.sum()).tolist(), shifted, strict=True))
    return planes


CARD = DistortionCard("vif", 250.0, lambda _: vif_distance)
"""Scale: calibrated on the demo scenes (results/calibration)."""
