"""Variable-rate codecs: two stages, the whole grid in each step of the second, any lmbda in between."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lic.codecs import build_codec
from lic.distortions import MSE_SCALE, build_distortion
from lic.settings.metrics import MetricsConfig
from lic.settings.names import CodecName
from lic.settings.train import TrainConfig, TrainerConfig
from lic.training.module import CodecTraining

ROOT = Path(__file__).parents[2]
GRID = [0.002, 0.01, 0.05]
CODECS: tuple[CodecName, ...] = (
    "bmshj2018-hyperprior-vbr", "mbt2018-mean-vbr", "mbt2018-vbr", "elic2022-official-vbr", "mlicpp-vbr",
)  # fmt: skip


def module(codec: CodecName, **changes: Any) -> CodecTraining:
    """A training of 100 steps."""
    torch.manual_seed(0)
    m = 32 if codec == "mlicpp-vbr" else 12  # whole slices
    config = replace(TrainConfig(lmbda=GRID, codec=codec, distortion="mse", num_channels=8, num_latent_channels=m,
                                 trainer=TrainerConfig(max_steps=100)), **changes)  # fmt: skip
    distortion = build_distortion("mse", MetricsConfig(config.mlclipsim))
    training = CodecTraining(build_codec(codec, 8, m, GRID), distortion, config)
    training.codec.centre_quantiles()
    training.codec.train()
    return training


@pytest.mark.parametrize(("step", "is_single"), [(0, True), (39, True), (40, False), (99, False)])
def test_stages(step: int, is_single: bool) -> None:
    points = module("mbt2018-mean-vbr", single_rate=0.4).operating_points(8, step)
    assert points == [None] if is_single else sorted(filter(None, points)) == GRID
    assert len(module("mbt2018-mean-vbr").operating_points(2, 99)) == 2  # a batch smaller than the grid


@pytest.mark.parametrize("codec", CODECS)
def test_every_rate_weighs_alike(codec: CodecName) -> None:
    training = module(codec)
    image = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    loss = training.rate_distortion(image, 99)
    torch.manual_seed(1)
    parts = []
    for part, point in zip(image.split(2), training.operating_points(6, 99), strict=True):
        assert point is not None
        output = training.codec(part, point)
        squared = (output.reconstruction - part).square().mean()
        parts.append(output.bpp.mean() + point * MSE_SCALE * squared)
    expected = len(parts) / sum(1 / part.item() for part in parts)  # the harmonic mean
    assert loss.total.item() == pytest.approx(expected, rel=1e-4)
    loss.total.backward()
    for name, parameter in training.codec.named_parameters():
        has_none = name.endswith((".Gain", ".quantiles"))
        assert has_none or (parameter.grad is not None and parameter.grad.isfinite().all()), name


def test_own_rates_are_drawn_for_each_image() -> None:
    training = module("dcvc-uf-intra")
    assert training.operating_points(8, 0) == [None] and not training.leaves_weights_aside
    points = training.operating_points(1000, 99)
    assert len(points) == 1000 and set(points) == set(training.codec.rates) and len(training.codec.rates) == 64
    assert (min(points), max(points)) == pytest.approx((0.002, 0.05))  # type: ignore[type-var]  # none is None


def test_own_rates_weigh_alike() -> None:
    training = module("dcvc-uf-intra")
    training.codec.eval()  # without noise
    image = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    loss = training.rate_distortion(image, 99)
    torch.manual_seed(1)
    parts = []
    for part, point in zip(image.split(1), training.operating_points(3, 99), strict=True):
        assert point is not None
        output = training.codec(part, point)
        parts.append(output.bpp.mean() + point * MSE_SCALE * (output.reconstruction - part).square().mean())
    assert loss.total.item() == pytest.approx(len(parts) / sum(1 / part.item() for part in parts), rel=1e-4)
    loss.total.backward()
    for name, parameter in training.codec.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_single_rate_of_own_rates() -> None:
    training = module("dcvc-uf-intra")
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    loss = training.rate_distortion(image, 0)
    assert loss.total.item() == pytest.approx((loss.bpp + 0.01 * MSE_SCALE * loss.mse).item(), rel=1e-5)
    loss.total.backward()
    rows = training.codec.network.gain_y.grad.abs().sum(1).nonzero().flatten().tolist()
    assert rows == [training.codec.rate(0.01)]


@pytest.mark.parametrize("codec", CODECS)
def test_single_rate_stage_minimises_the_middle_lmbda(codec: CodecName) -> None:
    training = module(codec)
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    loss = training.rate_distortion(image, 0)
    assert loss.total.item() == pytest.approx((loss.bpp + 0.01 * MSE_SCALE * loss.mse).item(), rel=1e-5)


def test_gain_between_the_grids_points() -> None:
    codec = build_codec("mbt2018-mean-vbr", 8, 12, GRID)
    for lmbda in (*GRID, 0.003, 0.0345):
        assert codec.gain(lmbda).item() == pytest.approx((lmbda / 0.01) ** 0.5, rel=1e-5)
    for lmbda in (0.0019, 0.051, float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match=r"is outside of this checkpoint's 0.002 .. 0.05"):
            codec.gain(lmbda)


def test_any_lmbda_decodes_and_rates_rise_with_it() -> None:
    training = module("mbt2018-mean-vbr")
    codec, image = training.codec.eval(), torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codec.network.g_a[-1].weight *= 50
    sizes = []
    for lmbda in (0.002, 0.004, 0.01, 0.025, 0.05):
        coded = codec.compress(image, lmbda)
        decoded = codec.decompress(coded, 128, 128, lmbda)
        with torch.no_grad():
            assert torch.allclose(decoded, codec(image, lmbda).reconstruction.clamp(0, 1), rtol=0, atol=1e-5)
        sizes.append(len(coded.string))
    assert sizes == sorted(sizes) and sizes[-1] > 1.2 * sizes[0]
