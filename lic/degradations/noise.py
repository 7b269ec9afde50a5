"""Noise; the seed draws it, the strength scales it."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lic.degradations.pixels import Distortion, between, split_luma, to_float, to_pixels
from lic.images import Pixels


def gaussian_noise(image: Pixels, strength: float, seed: int) -> Pixels:
    """White Gaussian noise of standard deviation 1.5 to 90."""
    return to_pixels(to_float(image) + between(1.5, 90, strength) * _white(image, seed))


def poisson_noise(image: Pixels, strength: float, seed: int) -> Pixels:
    """Shot noise: white is 10000 to 3 photons."""
    photons = between(10_000, 3, strength) / 255
    return to_pixels(np.random.default_rng(seed).poisson(to_float(image) * photons) / photons)


def impulse_noise(image: Pixels, strength: float, seed: int) -> Pixels:
    """Salt and pepper: 0.02 % to 40 % of the pixels are white or black."""
    chance, colour = np.random.default_rng(seed).random((2, *image.shape[:2]))
    is_hit = chance < between(0.0002, 0.4, strength)
    return np.where(is_hit[..., None], np.where(colour < 0.5, 0, 255)[..., None], image).astype(np.uint8)


def speckle_noise(image: Pixels, strength: float, seed: int) -> Pixels:
    """Multiplicative noise: each value changes by a share of standard deviation 0.01 to 0.8."""
    return to_pixels(to_float(image) * (1 + between(0.01, 0.8, strength) * _white(image, seed)))


def colour_noise(image: Pixels, strength: float, seed: int) -> Pixels:
    """Noise that leaves the luma as it is, of standard deviation 2 to 130 before that."""
    _, colour = split_luma(_white(image, seed))
    return to_pixels(to_float(image) + between(2, 130, strength) * colour)


def correlated_noise(image: Pixels, strength: float, seed: int) -> Pixels:
    """Spatially correlated noise: white noise under a Gaussian of 1.5 px, of standard deviation 1.5 to 90."""
    noise = ndimage.gaussian_filter(_white(image, seed), (1.5, 1.5, 0), mode="wrap")
    return to_pixels(to_float(image) + between(1.5, 90, strength) * noise / noise.std())


def high_frequency_noise(image: Pixels, strength: float, seed: int) -> Pixels:
    """White noise without what a Gaussian of 1 px keeps of it, of standard deviation 1.5 to 90."""
    white = _white(image, seed)
    noise = white - ndimage.gaussian_filter(white, (1, 1, 0), mode="wrap")
    return to_pixels(to_float(image) + between(1.5, 90, strength) * noise / noise.std())


def _white(image: Pixels, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(image.shape, np.float32)


NOISE: dict[str, Distortion] = {
    "gaussian-noise": gaussian_noise,
    "poisson-noise": poisson_noise,
    "impulse-noise": impulse_noise,
    "speckle-noise": speckle_noise,
    "colour-noise": colour_noise,
    "correlated-noise": correlated_noise,
    "high-frequency-noise": high_frequency_noise,
}
