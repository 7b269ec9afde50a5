"""SSIM to VIF, offline: independent implementations, gradients, sizes, and the silent errors of the libraries."""

import re
from typing import get_args

import numpy as np
import piq
import pytest
import torch
from scipy.signal import convolve2d
from scipy.signal.windows import gaussian
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure, visual_information_fidelity

from lic.distortions import Distortion, build_distortion
from lic.distortions.fsim import fsim
from lic.distortions.gmsd import gmsd
from lic.distortions.ms_ssim import ms_ssim_distance
from lic.distortions.pair import comparable
from lic.distortions.ssim import ssim, ssim_distance
from lic.distortions.vif import vif
from lic.images import pad_at_least, quantise
from lic.metrics import psnr_db
from lic.settings.names import DistortionName
from tests.support import ON_DEMO, noise_image

NAMES: tuple[DistortionName, ...] = ("mse", "ssim", "ms-ssim", "fsim", "gmsd", "vif", "mlclipsim", "features")
IN_A_NETWORK = ("mlclipsim", "features")  # in its arithmetic
SIZES = ((128, 128), (97, 130), (48, 65), (300, 257), (513, 520))  # FSIM halves the last


def noisy(image: Tensor, strength: float = 0.05) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return quantise(image + strength * torch.randn(image.shape, generator=generator))


def photograph_like(height: int = 96, width: int = 112) -> Tensor:
    """Smooth noise beside a flat patch, as skies and clipped lights are."""
    image = noise_image(0, height, width)
    image[..., : width // 3] = 1.0
    return quantise(image)


@pytest.mark.parametrize("size", SIZES)
def test_values_are_those_of_piq(size: tuple[int, int]) -> None:
    image = quantise(noise_image(0, *size))
    for strength in (0.01, 0.1):
        x, y = noisy(image, strength).double(), image.double()
        for own, theirs in ((fsim, piq.fsim), (gmsd, piq.gmsd)):
            assert own(x, y).item() == pytest.approx(theirs(x, y).item(), abs=1e-10), own
            assert own(x.float(), y.float()).item() == pytest.approx(theirs(x, y).item(), abs=1e-5), own
        assert vif(x, y).item() == pytest.approx(piq.vif_p(x.float(), y.float()).item(), abs=1e-4)


def test_gmsd_is_the_papers_formula() -> None:
    image = photograph_like(64, 80)
    x, y = (one[0].double().numpy() for one in (noisy(image), image))
    maps = []
    for one in (x, y):
        luma = 255 * np.tensordot((0.299, 0.587, 0.114), one, 1)
        halved = luma.reshape(32, 2, 40, 2).mean((1, 3))
        across = np.array([[1, 0, -1]] * 3) / 3
        maps.append(np.hypot(*(convolve2d(halved, kernel, "same") for kernel in (across, across.T))))
    similarity = (2 * maps[0] * maps[1] + 170) / (maps[0] ** 2 + maps[1] ** 2 + 170)
    assert gmsd(noisy(image), image).item() == pytest.approx(similarity.std(), abs=1e-6)


def ssim_by_hand(x: np.ndarray, y: np.ndarray) -> float:  # type: ignore[type-arg]
    taps = gaussian(11, 1.5)
    window = np.outer(taps, taps) / taps.sum() ** 2

    def blur(plane: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return convolve2d(plane, window, "valid")

    mean_x, mean_y = blur(x), blur(y)
    variance_x, variance_y, covariance = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2, blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    return float((luminance * (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)).mean())


@pytest.mark.parametrize("size", [(64, 80), (512, 512)])
def test_ssim_is_the_papers_formula_at_full_resolution(size: tuple[int, int]) -> None:
    image = quantise(noise_image(0, *size))
    x, y = noisy(image), image
    channels = zip(x[0].double().numpy(), y[0].double().numpy(), strict=True)
    assert ssim(x, y).item() == pytest.approx(np.mean([ssim_by_hand(*each) for each in channels]), abs=1e-5)
    assert ssim(x, y).item() == pytest.approx(piq.ssim(x, y, downsample=False).item(), abs=1e-5)
    theirs = structural_similarity_index_measure(x, y, data_range=1.0)  # pads before it blurs
    assert ssim(x, y).item() == pytest.approx(float(theirs), abs=0.02)
    if size[0] == 512:
        assert piq.ssim(x, y).item() > ssim(x, y).item() + 0.1  # its default halves such an image first


def test_vif_of_grey_images_against_torchmetrics() -> None:
    """torchmetrics measures each channel, so on grey images the same; its range is 0 .. 255."""
    image = quantise(noise_image(0, 96, 128)[:, :1].expand(-1, 3, -1, -1))
    x = noisy(image[:, :1]).expand_as(image)
    theirs = visual_information_fidelity(255 * x, 255 * image)
    assert vif(x, image).item() == pytest.approx(float(theirs), abs=1e-4)
    assert float(visual_information_fidelity(x, image)) > 0.9 > vif(x, image).item() + 0.2


def test_vif_of_a_flat_reference_is_one_and_not_rounding() -> None:
    flat = torch.full((1, 3, 64, 64), 0.3)
    assert vif(noisy(flat, 0.1), flat).item() == pytest.approx(1, abs=1e-6)
    assert piq.vif_p(noisy(flat, 0.1), flat).item() < 0.9  # in float32
    assert vif(flat, noisy(flat, 0.1)).item() == pytest.approx(0, abs=1e-6)


def test_more_contrast_is_more_information_but_no_distortion() -> None:
    image = quantise(noise_image(0, 64, 64)) * 0.5 + 0.25
    contrasted = (image - 0.5) * 1.3 + 0.5
    assert vif(contrasted, image).item() > 1
    assert build_distortion("vif", ON_DEMO)(contrasted, image).item() == 0


@pytest.mark.parametrize("name", NAMES)
def test_identical_images(name: DistortionName) -> None:
    for image in (photograph_like(), torch.full((1, 3, 64, 64), 0.3), torch.ones(1, 3, 50, 50)):
        reconstruction = image.clone().requires_grad_()
        value = build_distortion(name, ON_DEMO).eval()(reconstruction, image)
        value.sum().backward()
        assert value.item() == pytest.approx(0, abs=1e-6)
        assert reconstruction.grad is not None and reconstruction.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_finite_everywhere_and_leads_downhill(name: DistortionName) -> None:
    distortion = build_distortion(name, ON_DEMO).eval()
    image = photograph_like()
    flat, inverted = torch.full_like(image, 0.5), 1 - image
    for start in (noisy(image), flat, inverted, 3 * image - 1, image.roll(1, 3), 0.9 * image):
        reconstruction = start.clone().requires_grad_()
        value = distortion(reconstruction, image)
        value.sum().backward()
        assert value.isfinite().all() and reconstruction.grad is not None and reconstruction.grad.isfinite().all()
    reconstruction = noisy(image).requires_grad_()
    before = distortion(reconstruction, image)
    before.sum().backward()
    assert reconstruction.grad is not None
    step = 0.02 * reconstruction.grad / reconstruction.grad.abs().max()
    assert distortion(reconstruction - step, image).item() < before.item()


def test_piq_gradients_that_these_replace_are_not_finite() -> None:
    """Else the ports of GMSD and FSIM have no reason left."""
    image = photograph_like()
    image[..., :16, :16] = 0  # flat for every processor: sums of another grey are rounded, not 0 everywhere
    for theirs in (piq.gmsd, piq.fsim):
        reconstruction = (0.9 * image).requires_grad_()
        theirs(reconstruction, image).backward()
        assert reconstruction.grad is not None and reconstruction.grad.isnan().any()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mse", *IN_A_NETWORK)])  # float32 both
def test_gradient_against_finite_differences(name: DistortionName) -> None:
    distortion = build_distortion(name, ON_DEMO)
    image = photograph_like().double()
    generator = torch.Generator().manual_seed(0)
    start = (image * 0.8 + 0.1 + 0.02 * torch.randn(image.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    reconstruction = start.clone().requires_grad_()
    distortion(reconstruction, image * 0.8 + 0.1).sum().backward()
    assert reconstruction.grad is not None
    direction = torch.randn(image.shape, generator=generator, dtype=torch.float64) * 1e-8  # FSIM's median has kinks
    up, down = (distortion(start + sign * direction, image * 0.8 + 0.1) for sign in (1, -1))
    slope = (reconstruction.grad * direction).sum()
    torch.testing.assert_close((up - down).sum() / 2, slope, rtol=1e-3, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_grows_with_noise_within_its_range(name: DistortionName) -> None:
    distortion, image = build_distortion(name, ON_DEMO).eval(), photograph_like()
    with torch.no_grad():
        values = [distortion(noisy(image, strength), image).item() for strength in (0.02, 0.05, 0.1, 0.3)]
        inverted = distortion(1 - image, image).item()
    assert 0 < values[0] < values[1] < values[2] < values[3] <= 2 and 0 <= inverted <= 2


@pytest.mark.parametrize("name", NAMES)
def test_one_reference_for_many_and_each_alone(name: DistortionName) -> None:
    distortion, image = build_distortion(name, ON_DEMO).eval(), photograph_like()
    images = torch.cat([noisy(image, strength) for strength in (0.02, 0.1)])
    with torch.no_grad():
        together = distortion(images, image.expand_as(images))
        assert together.shape == (2,) and together.dtype == torch.float32
        alone = torch.cat([distortion(one[None], image) for one in images])
        torch.testing.assert_close(together, alone, atol=2e-6, rtol=0)
        if name not in IN_A_NETWORK:  # which prepare one reference for many: tests/metrics
            torch.testing.assert_close(distortion(images, image), alone, atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (10, 200), (41, 33), (47, 49)])
def test_small_and_odd_sizes(name: DistortionName, size: tuple[int, int]) -> None:
    distortion, image = build_distortion(name, ON_DEMO).eval(), quantise(noise_image(3, *size))
    reconstruction = noisy(image).requires_grad_()
    value = distortion(reconstruction, image)
    value.sum().backward()
    assert value.isfinite().all() and reconstruction.grad is not None and reconstruction.grad.isfinite().all()
    assert distortion(image, image).item() == pytest.approx(0, abs=1e-6)


def test_small_images_are_mirrored_not_skipped() -> None:
    image = quantise(noise_image(0, 30, 35))
    padded = [pad_at_least(one, 41) for one in (noisy(image), image)]
    assert vif(noisy(image), image).item() == pytest.approx(vif(*padded).item())
    small = [one[..., :8, :9] for one in (noisy(image), image)]
    channels = zip(*(pad_at_least(one, 11)[0].double().numpy() for one in small), strict=True)
    assert ssim(*small).item() == pytest.approx(np.mean([ssim_by_hand(*each) for each in channels]), abs=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mse", *IN_A_NETWORK)])
def test_autocast_does_not_round(name: DistortionName) -> None:
    distortion, image = build_distortion(name, ON_DEMO), photograph_like()
    exact = distortion(noisy(image), image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distortion(noisy(image), image), exact)
        assert distortion(noisy(image).bfloat16(), image).dtype == torch.float32


@pytest.mark.parametrize(("height", "width"), [(180, 200), (301, 263)])
def test_ms_ssim_of_large_images_in_strips(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    image[1] = torch.nn.functional.avg_pool2d(image[1], 5, 1, 2)
    with torch.no_grad():
        whole = ms_ssim_distance(noisy(image), image)
        monkeypatch.setattr("lic.distortions.ms_ssim.LARGE_PIXELS", 1000)
        monkeypatch.setattr("lic.distortions.ms_ssim.STRIP_ROWS", 64)
        assert torch.allclose(ms_ssim_distance(noisy(image), image), whole, rtol=0, atol=1e-6)


def test_ms_ssim_distance_of_grey_and_colour() -> None:
    grey = quantise(noise_image(0, 176, 176)[:, :1])
    value = ms_ssim_distance(noisy(grey).expand(-1, 3, -1, -1), grey.expand(-1, 3, -1, -1))
    theirs = 1 - piq.multi_scale_ssim(noisy(grey), grey, data_range=1.0)
    assert value.item() == pytest.approx(theirs.item(), abs=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((1, 3, 64, 48), (1, 3, 64, 64), "of one size, got 48 x 64 and 64 x 64 px"),
        ((3, 3, 64, 64), (2, 3, 64, 64), "3 images need as many references, or one; got 2"),
        ((1, 1, 64, 64), (1, 1, 64, 64), "must be RGB"),
        ((3, 64, 64), (3, 64, 64), "must be RGB"),
        ((1, 3, 0, 64), (1, 3, 0, 64), "not empty"),
    ],
)
def test_what_cannot_be_compared_is_one_line(first: tuple[int, ...], second: tuple[int, ...], message: str) -> None:
    for compare in (comparable, ssim_distance, gmsd):
        with pytest.raises(ValueError, match=message) as caught:
            compare(torch.zeros(first), torch.zeros(second))
        assert "\n" not in str(caught.value)


def test_every_name_is_built_or_needs_weights() -> None:
    assert set(NAMES) | {"lpips", "dists"} == set(get_args(DistortionName))
    scales = {name: build_distortion(name, ON_DEMO).scale for name in NAMES}
    assert all(scale > 0 for scale in scales.values())


def test_images_of_unequal_sizes_are_refused() -> None:
    image = noise_image(0, 64, 64)
    measures = [psnr_db, *(build_distortion(name, ON_DEMO) for name in ("mlclipsim", "features"))]
    for measure in measures:
        with pytest.raises(ValueError, match="images to compare must be of one size, got 1 x 64 and 64 x 64 px"):
            measure(image[..., :1], image)  # a column would be broadcast


def test_a_measure_of_another_shape_is_refused() -> None:
    """A map, or one value for all, would be broadcast with the rates."""
    image = noise_image(0, 32, 32).expand(2, -1, -1, -1)
    for measure, shape in ((lambda a, b: (a - b).square().mean(1), "(2, 32, 32)"), (lambda a, b: (a - b).mean(), "()")):
        with pytest.raises(ValueError, match=re.escape(f"distortion own returns {shape} for 2 images, not (2,)")):
            Distortion("own", measure, 1.0)(image, image)
