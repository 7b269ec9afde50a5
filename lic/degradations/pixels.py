"""What the kinds of distortion share: how a strength becomes a parameter, and numbers become pixels."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lic.images import Pixels

Distortion = Callable[[Pixels, float, int], Pixels]
"""(image, strength in [0, 1], seed) -> the distorted image, the same bit for bit whenever it is called."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG


def between(mildest: float, strongest: float, strength: float) -> float:
    """Return the parameter at a strength: equal steps of strength are equal ratios."""
    return float(mildest * (strongest / mildest) ** strength)


def to_float(image: Pixels) -> NDArray[np.float32]:
    """Return an image's values, 0 .. 255, to compute with."""
    return image.astype(np.float32)


def to_pixels(values: NDArray[Any]) -> Pixels:
    """Return values, rounded and clipped to 0 .. 255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def split_luma(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the luma (H, W, 1) of an image and what is left of its colour (H, W, 3): their sum is the image."""
    luma = (values @ LUMA)[..., None]
    return luma, values - luma


def psnr_db(distorted: Pixels, reference: Pixels) -> float:
    """Return the peak signal-to-noise ratio over all of RGB, in dB; 100 if identical, as `lic.metrics` has it."""
    error = float(np.square(distorted.astype(np.float64) - reference).mean()) / 255**2
    return float(-10 * np.log10(max(error, 1e-10)))
