"""PSNR and MS-SSIM against torchmetrics and against the papers' formulas written out in NumPy."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
)

from lic.images import pad_at_least, quantise
from lic.metrics import ms_ssim, psnr_db

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003


def pair(height: int, width: int, noise: float = 0.05, num_images: int = 2) -> tuple[Tensor, Tensor]:
    """Smooth images and noisy ones, 8-bit."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(num_images, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    image = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    levels = noise * torch.arange(1, num_images + 1)[:, None, None, None]
    return quantise(image + levels * torch.randn(image.shape, generator=generator)), quantise(image)


def by_hand(one: NDArray[np.float64], other: NDArray[np.float64], window_px: int) -> float:
    """MS-SSIM of two channels (H, W): equation 7 of Wang et al. 2003, windows of a Gaussian of 1.5 px."""
    taps = np.exp(-((np.arange(window_px) - window_px // 2) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blur(channel: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.apply_along_axis(np.convolve, 0, channel, taps, "valid")
        return np.apply_along_axis(np.convolve, 1, rows, taps, "valid")

    product = 1.0
    for scale, weight in enumerate(WEIGHTS):
        mean_one, mean_other = blur(one), blur(other)
        variances = blur(one**2) - mean_one**2 + blur(other**2) - mean_other**2
        structure = (2 * (blur(one * other) - mean_one * mean_other) + 0.03**2) / (variances + 0.03**2)
        luminance = (2 * mean_one * mean_other + 0.01**2) / (mean_one**2 + mean_other**2 + 0.01**2)
        product *= float(np.mean(structure * luminance if scale == 4 else structure)) ** weight
        height, width = (side // 2 * 2 for side in one.shape)
        one, other = (x[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for x in (one, other))
    return product


def test_psnr() -> None:
    reconstruction, image = pair(40, 30)
    for i in range(2):
        own = psnr_db(reconstruction, image)[i].item()
        theirs = peak_signal_noise_ratio(reconstruction[i], image[i], data_range=1.0)
        assert own == pytest.approx(theirs.item(), abs=1e-4)
        error = (reconstruction[i].double() * 255).round() - (image[i].double() * 255).round()
        assert own == pytest.approx(20 * math.log10(255) - 10 * math.log10(error.square().mean().item()), abs=1e-4)


def test_psnr_of_known_errors() -> None:
    image = torch.full((1, 3, 2, 2), 0.5)
    assert psnr_db(image + 0.1, image).item() == pytest.approx(20, abs=1e-4)
    one_channel = image.clone()
    one_channel[:, 0] += 0.1
    assert psnr_db(one_channel, image).item() == pytest.approx(20 + 10 * math.log10(3), abs=1e-4)
    assert psnr_db(image, image).item() == pytest.approx(100)


@pytest.mark.parametrize(("height", "width"), [(176, 192), (256, 176)])
def test_ms_ssim_of_large_images(height: int, width: int) -> None:
    reconstruction, image = pair(height, width)
    own = ms_ssim(reconstruction, image)
    for i in range(2):
        channels = zip(reconstruction[i].double().numpy(), image[i].double().numpy(), strict=True)
        assert own[i].item() == pytest.approx(np.mean([by_hand(*each, 11) for each in channels]), abs=2e-5)
        theirs = multiscale_structural_similarity_index_measure(
            reconstruction[i : i + 1], image[i : i + 1], data_range=1.0
        )
        assert own[i].item() == pytest.approx(theirs.item(), abs=4e-3)  # torchmetrics pads before it blurs


@pytest.mark.parametrize(("height", "width"), [(160, 128), (112, 128), (96, 130), (64, 64), (33, 200), (1, 1)])
def test_ms_ssim_of_small_images(height: int, width: int) -> None:
    reconstruction, image = pair(height, width)
    own = ms_ssim(reconstruction, image)
    padded = [pad_at_least(x, 97).double().numpy() for x in (reconstruction, image)]
    if all(side % 16 == 0 for side in padded[0].shape[-2:]):  # else scales have odd sides, where borders are a choice
        for i in range(2):
            channels = zip(padded[0][i], padded[1][i], strict=True)
            assert own[i].item() == pytest.approx(np.mean([by_hand(*each, 7) for each in channels]), abs=2e-5)
    assert own.shape == (2,) and own.isfinite().all()
    if height > 1:
        assert 0 < own[1] < own[0] < 1
    assert torch.allclose(ms_ssim(image, image), torch.ones(2), atol=1e-5)


def test_each_image_is_measured_alone() -> None:
    reconstruction, image = pair(128, 128, num_images=3)
    for metric in (psnr_db, ms_ssim):
        together = metric(reconstruction, image)
        for i in range(3):
            alone = metric(reconstruction[i : i + 1], image[i : i + 1])
            assert alone.item() == pytest.approx(together[i].item(), abs=1e-5)
