"""FSIM with colour, FSIMc (Zhang et al. 2011, doi 10.1109/TIP.2011.2109730).

    FSIMc = sum S_pc S_g |S_i S_q|^0.03 w / sum w,    w = max(pc_x, pc_y)

S are similarities of phase congruency, of the gradient's magnitude, and of the two chromatic channels of YIQ; pc is
Kovesi's phase congruency from log-Gabor filters at four scales and orientations. Images are first shrunk by
round(shorter side / 256): that belongs to the definition.

Ported from piq 0.8 (fsim.py, Apache-2.0), whose values these are, and whose gradient is NaN as soon as the image has
a flat patch: a root at 0. Here roots are `abs` of complex numbers and `vector_norm`, whose gradient at 0 is 0.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lic.distortions.card import DistortionCard
from lic.distortions.gmsd import gradient_magnitude, similarity_map
from lic.distortions.pair import comparable, full_precision

LEAST_PX = 48  # the longest wavelength
SCALES, ORIENTATIONS = 4, 4
SHORTEST_PX = 6.0  # wavelength; each scale doubles it
_SCHARR = (3 / 16, 10 / 16, 3 / 16)
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def fsim(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the feature similarity of each image, colour included, (N,), in [0, 1], 1 = identical.

    Sides below 48 px are mirrored up to that.

    Args:
        reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
        image: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1].
    """
    with full_precision(image):
        planes = [_shrunk_yiq(one) for one in comparable(reconstruction, image, LEAST_PX)]
        (x, x_i, x_q), (y, y_i, y_q) = (one.split(1, 1) for one in planes)
        filters = _log_gabor_filters(x)
        x_congruency, y_congruency = (_phase_congruency(one, filters) for one in (x, y))
        colour = (similarity_map(x_i, y_i, 200) * similarity_map(x_q, y_q, 200)).abs().clamp(min=1e-6) ** 0.03
        gradients = similarity_map(gradient_magnitude(x, _SCHARR), gradient_magnitude(y, _SCHARR), 160)
        similarity = gradients * similarity_map(x_congruency, y_congruency, 0.85) * colour
        weight = torch.maximum(x_congruency, y_congruency)
        return (similarity * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def fsim_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return 1 - FSIMc of each image, (N,), in [0, 1]."""
    return 1 - fsim(reconstruction, image)


def _shrunk_yiq(image: Tensor) -> Tensor:
    """Return the image in 0 .. 255, shrunk, as one luma and two chromatic channels, (N, 3, h, w)."""
    shrunk = 255 * F.avg_pool2d(image, max(1, round(min(image.shape[-2:]) / 256)))
    return torch.einsum("oc,nchw->nohw", image.new_tensor(_YIQ), shrunk)


def _log_gabor_filters(plane: Tensor) -> Tensor:
    """Return filters in the frequency domain for planes of this size, (ORIENTATIONS, SCALES, H, W)."""
    sides = (torch.fft.fftfreq(side, dtype=plane.dtype, device=plane.device) * side / (side - side % 2)
             for side in plane.shape[-2:])  # fmt: skip
    rows, columns = torch.meshgrid(*sides, indexing="ij")
    radius, angle = torch.hypot(rows, columns), torch.atan2(-columns, rows)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)  # no frequencies of the corners
    radius[0, 0] = 1  # its logarithm is not used
    wavelengths = SHORTEST_PX * 2 ** torch.arange(SCALES, dtype=plane.dtype, device=plane.device)
    radial = (-((radius * wavelengths[:, None, None]).log() ** 2) / (2 * math.log(0.55) ** 2)).exp() * low_pass
    radial[:, 0, 0] = 0
    orientations = torch.arange(ORIENTATIONS, dtype=plane.dtype, device=plane.device) * math.pi / ORIENTATIONS
    turn = (angle - orientations[:, None, None] + math.pi) % (2 * math.pi) - math.pi
    spread = (-(turn**2) / (2 * (math.pi / (ORIENTATIONS * 1.2)) ** 2)).exp()
    return spread[:, None] * radial


def _phase_congruency(plane: Tensor, filters: Tensor) -> Tensor:
    """Return where the phases of all scales agree, (N, 1, H, W), in [0, 1].

    Args:
        plane: (N, 1, H, W), luma in 0 .. 255.
        filters: (ORIENTATIONS, SCALES, H, W).
    """
    tiny = torch.finfo(plane.dtype).eps
    responses: Tensor = torch.fft.ifft2(torch.fft.fft2(plane)[:, :, None] * filters)  # even + i odd
    amplitude = responses.abs()
    total = responses.sum(2, keepdim=True)
    aligned = responses * (total / (total.abs() + tiny)).conj()  # turned by the phase of the sum over the scales
    energy = (aligned.real - aligned.imag.abs()).sum(2)
    threshold = _noise_gain(filters)[:, None, None] * amplitude[:, :, 0].flatten(2).median(2).values[..., None, None]
    energy = (energy - threshold).relu().sum(1, keepdim=True)
    return (energy + tiny) / (amplitude.sum((1, 2))[:, None] + tiny)


def _noise_gain(filters: Tensor) -> Tensor:
    """Return the energy below which it is noise, per median amplitude at the finest scale, (ORIENTATIONS,).

    Noise of the power that the finest scale's median suggests, passed through all scales, is Rayleigh distributed;
    the threshold is two standard deviations above its mean, divided by 1.7 (both Kovesi's).
    """
    kernels: Tensor = torch.fft.ifft2(filters).real * filters[0, 0].numel() ** 0.5
    finest, whole = filters[:, 0].square().sum((1, 2)), kernels.sum(1).square().sum((1, 2))
    tau = (whole / (finest * math.log(2))).sqrt()
    return tau * (math.sqrt(math.pi / 2) + 2 * math.sqrt(2 - math.pi / 2)) / 1.7


CARD = DistortionCard("fsim", 1450.0, lambda _: fsim_distance)
"""Scale: calibrated on the demo scenes (results/calibration)."""
