"""Pixels that are elsewhere, or lost."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lic.degradations.pixels import Distortion, between, to_pixels
from lic.images import Pixels

BLOCK_PX = 8
PATCH_PX = 12
MOST_PATCH_SHIFT_PX = 10


def elastic_warp(image: Pixels, strength: float, seed: int) -> Pixels:
    """Each pixel displaced by 0.1 to 30 px (at most), its neighbours alike: noise under a Gaussian of 5 px."""
    noise = np.random.default_rng(seed).standard_normal((2, *image.shape[:2]))
    field = ndimage.gaussian_filter(noise, (0, 5, 5), mode="wrap")
    return _displaced(image, between(0.1, 30, strength) * field / np.abs(field).max())


def jitter(image: Pixels, strength: float, seed: int) -> Pixels:
    """Each pixel displaced by 0.05 to 12 px (standard deviation), on its own."""
    noise = np.random.default_rng(seed).standard_normal((2, *image.shape[:2]))
    return _displaced(image, between(0.05, 12, strength) * noise)


def block_loss(image: Pixels, strength: float, seed: int) -> Pixels:
    """0.2 % to 90 % of the blocks of 8 x 8 px are of one colour, that of their left upper pixel."""
    height, width = image.shape[:2]
    order = np.random.default_rng(seed).random((-(-height // BLOCK_PX), -(-width // BLOCK_PX)))
    is_lost = _enlarged(order < max(between(0.002, 0.9, strength), order.min() + 1e-9), height, width)
    flat = _enlarged(image[::BLOCK_PX, ::BLOCK_PX], height, width)
    return np.where(is_lost[..., None], flat, image)


def patch_displacement(image: Pixels, strength: float, seed: int) -> Pixels:
    """0.05 to 20 patches of 12 x 12 px per 32 x 32 px lie up to 10 px from their place (TID2013's non eccentricity)."""
    height, width = image.shape[:2]
    most = max(1, round(height * width / 32**2 * 20))
    places = np.random.default_rng(seed).random((most, 4))
    count = max(1, round(between(0.05, 20, strength) / 20 * most))
    result = image.copy()
    for y, x, down, right in places[:count].tolist():
        top, left = int(y * max(height - PATCH_PX, 1)), int(x * max(width - PATCH_PX, 1))
        shifts = (round((2 * shift - 1) * MOST_PATCH_SHIFT_PX) for shift in (down, right))
        limits = (max(height - PATCH_PX, 0), max(width - PATCH_PX, 0))
        source = [
            min(max(at + shift, 0), most_px) for at, shift, most_px in zip((top, left), shifts, limits, strict=True)
        ]
        patch = image[source[0] : source[0] + PATCH_PX, source[1] : source[1] + PATCH_PX]
        result[top : top + PATCH_PX, left : left + PATCH_PX] = patch
    return result


def _displaced(image: Pixels, offsets: NDArray[np.float64]) -> Pixels:
    """The image, each pixel taken from its place plus an offset (2, H, W) in px, bilinearly."""
    places = np.indices(image.shape[:2]) + offsets
    channels = [ndimage.map_coordinates(image[..., i], places, np.float32, 1, mode="mirror") for i in range(3)]
    return to_pixels(np.stack(channels, -1))


def _enlarged(blocks: NDArray[np.generic], height: int, width: int) -> NDArray[np.generic]:
    """Blocks of one value each, (h, w, ...), as pixels (height, width, ...)."""
    return blocks.repeat(BLOCK_PX, 0).repeat(BLOCK_PX, 1)[:height, :width]


SPATIAL: dict[str, Distortion] = {
    "elastic-warp": elastic_warp,
    "jitter": jitter,
    "block-loss": block_loss,
    "patch-displacement": patch_displacement,
}
