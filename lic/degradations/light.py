"""Changes of light and colour, which move pixels' values but no edges."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lic.degradations.pixels import Distortion, between, split_luma, to_float, to_pixels
from lic.images import Pixels

HAZE_COLOUR = 225.0


def contrast_down(image: Pixels, strength: float, seed: int) -> Pixels:
    """The distance from the mean colour shrinks by 3 % to all of it."""
    values = to_float(image)
    mean = values.mean((0, 1))
    return to_pixels(mean + (1 - between(0.03, 1, strength)) * (values - mean))


def contrast_up(image: Pixels, strength: float, seed: int) -> Pixels:
    """The distance from the mean colour grows by 3 % to eleven times."""
    values = to_float(image)
    mean = values.mean((0, 1))
    return to_pixels(mean + (1 + between(0.03, 10, strength)) * (values - mean))


def brightness(image: Pixels, strength: float, seed: int, sign: int) -> Pixels:
    """All values shifted by 1.5 to 110."""
    return to_pixels(to_float(image) + sign * between(1.5, 110, strength))


def gamma(image: Pixels, strength: float, seed: int) -> Pixels:
    """An exponent of 1.02 to 6, or its inverse: the seed chooses."""
    exponent = 1 + between(0.02, 5, strength)
    power = exponent if seed % 2 else 1 / exponent
    return to_pixels(255 * (to_float(image) / 255) ** power)


def haze(image: Pixels, strength: float, seed: int) -> Pixels:
    """A light grey veil of 1 % to 95 % opacity in smooth clouds."""
    height, width = image.shape[:2]
    clouds = _smooth_field(image, seed, max(height, width) / 8)
    opacity = between(0.01, 0.95, strength) * (0.75 + 0.25 * clouds)
    return to_pixels(to_float(image) * (1 - opacity) + HAZE_COLOUR * opacity)


def vignetting(image: Pixels, strength: float, seed: int) -> Pixels:
    """The corners darken by 3 % to all of their light, with the square of the distance from the centre."""
    height, width = image.shape[:2]
    rows, columns = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
    distance = (rows[:, None] ** 2 + columns**2) / 2
    return to_pixels(to_float(image) * (1 - between(0.03, 1, strength) * distance[..., None]))


def saturation(image: Pixels, strength: float, seed: int, sign: int) -> Pixels:
    """The distance from grey of the same luma grows by 3 % to nine times, or shrinks by 3 % to all of it."""
    luma, colour = split_luma(to_float(image))
    change = between(0.03, 8, strength) if sign > 0 else -between(0.03, 1, strength)
    return to_pixels(luma + (1 + change) * colour)


def hue_shift(image: Pixels, strength: float, seed: int) -> Pixels:
    """The hue turns by 0.02 to 3.1 radians about the grey axis, either way: the seed chooses."""
    angle = between(0.02, 3.1, strength) * (1 if seed % 2 else -1)
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    return to_pixels(to_float(image) @ turn.T.astype(np.float32))


def colour_cast(image: Pixels, strength: float, seed: int) -> Pixels:
    """A tint: 2.5 to 190 along a colour of no luma that the seed chooses."""
    _, tint = split_luma(np.random.default_rng(seed).standard_normal(3).astype(np.float32))
    return to_pixels(to_float(image) + between(2.5, 190, strength) * tint / np.linalg.norm(tint))


def chroma_blur(image: Pixels, strength: float, seed: int) -> Pixels:
    """The colours, not the luma, under a Gaussian of 0.4 to 30 px: chroma subsampling and worse."""
    luma, colour = split_luma(to_float(image))
    sigma = between(0.4, 30, strength)
    return to_pixels(luma + ndimage.gaussian_filter(colour, (sigma, sigma, 0), mode="mirror"))


def _smooth_field(image: Pixels, seed: int, sigma_px: float) -> NDArray[np.float32]:
    """A field (H, W, 1) of largest magnitude 1 without detail finer than a Gaussian."""
    noise = np.random.default_rng(seed).standard_normal(image.shape[:2], np.float32)
    field = ndimage.gaussian_filter(noise, sigma_px, mode="wrap")
    return np.asarray(field / np.abs(field).max())[..., None]


LIGHT: dict[str, Distortion] = {
    "contrast-down": contrast_down,
    "contrast-up": contrast_up,
    "brightness-up": partial(brightness, sign=1),
    "brightness-down": partial(brightness, sign=-1),
    "gamma": gamma,
    "haze": haze,
    "vignetting": vignetting,
}
COLOUR: dict[str, Distortion] = {
    "saturation-up": partial(saturation, sign=1),
    "saturation-down": partial(saturation, sign=-1),
    "hue-shift": hue_shift,
    "colour-cast": colour_cast,
    "chroma-blur": chroma_blur,
}
