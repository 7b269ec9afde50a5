"""Blurs, and the ringing that filters with too sharp an edge leave."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from lic.degradations.pixels import Distortion, between, to_float, to_pixels
from lic.images import Pixels

MEDIAN_SIZES_PX = (1, 3, 5, 7)


def gaussian_blur(image: Pixels, strength: float, seed: int) -> Pixels:
    """A Gaussian of 0.3 to 8 px."""
    sigma = between(0.3, 8, strength)
    return to_pixels(ndimage.gaussian_filter(to_float(image), (sigma, sigma, 0), mode="mirror"))


def box_blur(image: Pixels, strength: float, seed: int) -> Pixels:
    """The mean of a square of 1.1 to 25 px; its outermost pixels count by the part that it covers."""
    side = between(1.1, 25, strength)
    reach = int(np.ceil((side - 1) / 2))
    kernel = np.ones(2 * reach + 1)
    kernel[[0, -1]] = (side - (2 * reach - 1)) / 2
    return _convolve(image, np.outer(kernel, kernel))


def lens_blur(image: Pixels, strength: float, seed: int) -> Pixels:
    """A disc of radius 0.6 to 12 px: what is out of focus."""
    radius = between(0.6, 12, strength)
    reach = int(np.ceil(radius))
    offsets = np.arange(-reach, reach + 1)
    return _convolve(image, np.clip(radius + 0.5 - np.hypot(offsets[:, None], offsets), 0, 1))


def motion_blur(image: Pixels, strength: float, seed: int) -> Pixels:
    """A line of 0.5 to 40 px in a direction that the seed chooses."""
    length = between(0.5, 40, strength)
    angle = np.random.default_rng(seed).uniform(0, np.pi)
    reach = int(np.ceil(length / 2)) + 1
    along = np.linspace(-length / 2, length / 2, 16 * reach)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for position in (reach + np.outer(along, [np.sin(angle), np.cos(angle)])).tolist():
        corner = [int(np.floor(value)) for value in position]
        down, right = (value - whole for value, whole in zip(position, corner, strict=True))
        square = np.outer([1 - down, down], [1 - right, right])
        kernel[corner[0] : corner[0] + 2, corner[1] : corner[1] + 2] += square
    return _convolve(image, kernel)


def median_blur(image: Pixels, strength: float, seed: int) -> Pixels:
    """The median of squares of 1, 3, 5, 7 px; between two sizes, their mix."""
    place = strength * (len(MEDIAN_SIZES_PX) - 1)
    lower = min(int(place), len(MEDIAN_SIZES_PX) - 2)
    small, large = (
        to_float(ndimage.median_filter(image, (size, size, 1), mode="mirror"))
        for size in MEDIAN_SIZES_PX[lower : lower + 2]
    )
    return to_pixels(small + (place - lower) * (large - small))


def ringing(image: Pixels, strength: float, seed: int) -> Pixels:
    """Frequencies above 0.9 to 0.02 of the highest cut off at once (a sinc filter), as Real-ESRGAN has it."""
    height, width = image.shape[:2]
    waves = fft.dctn(to_float(image), axes=(0, 1))
    radius = np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width)
    kept = (radius <= np.sqrt(2) * between(0.9, 0.02, strength))[..., None]
    return to_pixels(fft.idctn(waves * kept, axes=(0, 1)))


def oversharpening(image: Pixels, strength: float, seed: int) -> Pixels:
    """Unsharp masking, 0.1 to 30 times the difference from a Gaussian of 1.5 px."""
    values = to_float(image)
    detail = values - ndimage.gaussian_filter(values, (1.5, 1.5, 0), mode="mirror")
    return to_pixels(values + between(0.1, 30, strength) * detail)


def _convolve(image: Pixels, kernel: NDArray[np.float64]) -> Pixels:
    """The image under a kernel of odd sides, whose sum does not matter; mirrored at the border."""
    rows, columns = (side // 2 for side in kernel.shape)
    page = np.pad(to_float(image), ((rows, rows), (columns, columns), (0, 0)), mode="symmetric")
    kernel = (kernel / kernel.sum()).astype(np.float32)[..., None]
    return to_pixels(signal.fftconvolve(page, kernel, mode="valid", axes=(0, 1)))


BLUR: dict[str, Distortion] = {
    "gaussian-blur": gaussian_blur,
    "box-blur": box_blur,
    "lens-blur": lens_blur,
    "motion-blur": motion_blur,
    "median-blur": median_blur,
}
SHARPNESS: dict[str, Distortion] = {"ringing": ringing, "oversharpening": oversharpening}
