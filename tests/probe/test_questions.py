"""Probes on distortions whose answers are known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lic.degradations import KINDS, kinds_for
from lic.distortions import Distortion, build_distortion, mse
from lic.probe import questions as probing
from tests.support import ON_DEMO


@pytest.fixture(scope="module")
def image() -> Tensor:
    coarse = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)


@pytest.fixture
def squares() -> Distortion:
    return Distortion("own", mse, 1.0)


def test_mse_at_identity(squares: Distortion, image: Tensor) -> None:
    found = probing.at_identity(squares, image)
    assert found == (0, 0, True)


def test_a_gradient_that_is_not_a_number_is_found(image: Tensor) -> None:
    root = Distortion("own", lambda a, b: (a - b).square().mean((1, 2, 3)).sqrt(), 1.0)
    assert not probing.at_identity(root, image).is_finite


def test_shifts_are_multiples_of_faint_noise(squares: Distortion, image: Tensor) -> None:
    found = probing.under_shifts(squares, image, 0)
    moved = (image[..., 1:57] - image[..., :56]).square().mean()
    assert found[1] == pytest.approx(float(moved) / 10**-3, rel=0.05)
    assert found[1] < found[2] < found[4]


def test_mse_grows_with_noise(squares: Distortion, image: Tensor) -> None:
    found = probing.monotonicity(squares, image, kinds_for(are_photographs=False), 0)
    assert len(found) >= 25
    assert found["gaussian-noise"] == found["jpeg"] == pytest.approx(1)
    backwards = Distortion("own", lambda a, b: 1 / (1e-3 + mse(a, b)), 1.0)
    assert probing.monotonicity(backwards, image, [KINDS["gaussian-noise"]], 0)["gaussian-noise"] == pytest.approx(-1)


def test_gradient_noise_is_the_share_of_chance(image: Tensor) -> None:
    certain = Distortion("own", mse, 1.0)
    assert probing.gradient_noise(certain, image, 0).random_share == pytest.approx(0, abs=1e-6)

    def by_chance(a: Tensor, b: Tensor) -> Tensor:
        return mse(a, b) + 1e-3 * (torch.randn_like(a) * a).mean((1, 2, 3))

    noisy = Distortion("own", by_chance, 1.0)
    error = 10 ** (-25 / 20)
    expected = 1e-6 / (1e-6 + 4 * error**2)
    assert probing.gradient_noise(noisy, image, 0).random_share == pytest.approx(expected, rel=0.3)
    assert probing.gradient_noise(certain, image, 0).bf16_cosine > 0.99


def test_cost_counts_what_is_kept(squares: Distortion, image: Tensor) -> None:
    found = probing.cost(squares, image)
    assert found.seconds > 0
    assert found.kept_bytes == pytest.approx(4 * 3 * 64 * 64, rel=0.01)  # the error, for the square's gradient


def test_mse_gets_the_image_back_from_noise(squares: Distortion, image: Tensor) -> None:
    found = probing.reconstruct(squares, image, 150, 0, is_training=True)
    assert found.psnr_db > 45 and found.end < 1e-3 < found.start


def test_what_a_distortion_ignores_stays_noise(image: Tensor) -> None:
    grey = Distortion("own", lambda a, b: (a.mean(1) - b.mean(1)).square().mean((1, 2)), 1.0)
    found = probing.reconstruct(grey, image, 150, 0, is_training=True)
    assert found.end < 1e-3 and found.psnr_db < 20


def test_a_patch_grid_is_found_and_only_there() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 3, 128, 128, generator=generator)
    spots = torch.zeros(128, 128)
    spots[5::16, 7::16] = 1.0
    assert abs(probing.grid_share(noise, 16)) < 0.01
    assert probing.grid_share(0.1 * noise + spots, 16) > 0.9
    assert abs(probing.grid_share(0.1 * noise + spots, 13)) < 0.05
    assert np.unravel_index(probing.fold(0.1 * noise + spots, 16).argmax(), (16, 16)) == (5, 7)


def test_ml_clipsim_on_a_scene() -> None:
    distortion = build_distortion("mlclipsim", ON_DEMO).eval()
    scene = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    found = probing.at_identity(distortion, scene)
    assert found.is_finite and found.value < 1e-10 and found.gradient < 1e-6
    noise = probing.gradient_noise(distortion, scene, 0)
    assert 0 < noise.random_share < 1 and noise.bf16_cosine > 0.8
