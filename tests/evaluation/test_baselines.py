"""Baselines: what Pillow would give by itself, over the rates that the grids promise."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image

from lic.data.coco import read_coco
from lic.demo.scenes import scenes_root
from lic.evaluation.baselines import QUALITIES, PillowCoder, PillowName, baseline_coders, quality_for_bpp
from lic.images import read_image
from lic.metrics import psnr_db
from lic.settings.evaluate import EvalConfig
from tests.support import noise_image

NAMES: tuple[PillowName, ...] = get_args(PillowName)


def settings(name: PillowName, quality: int) -> dict[str, Any]:
    """What one would write for Pillow."""
    match name:
        case "jpeg":
            return {"quality": quality, "optimize": True}
        case "webp":
            return {"quality": quality, "method": 6}
        case "avif":
            return {"quality": quality, "speed": 6, "max_threads": 1}
    return {"quality_mode": "dB", "quality_layers": [quality], "irreversible": True, "mct": 1, "no_jp2": True,
            "comment": " "}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quality", [25, 40, 90])
def test_pillow_coder_is_pillow(name: PillowName, quality: int, images: list[Path]) -> None:
    coder = PillowCoder(name, quality)
    stream, estimate = coder.encode(read_image(images[2]))
    file = io.BytesIO()
    with Image.open(images[2]) as original:
        original.save(file, name, **settings(name, quality))
    assert stream == file.getvalue()
    with Image.open(io.BytesIO(stream)) as opened:
        pixels = np.array(opened.convert("RGB"))
    decoded = coder.decode(stream)
    assert decoded.shape == (1, 3, 48, 80)
    assert np.array_equal((decoded[0].permute(1, 2, 0) * 255).round().numpy(), pixels)
    assert (coder.codec, coder.quality) == (name, quality)
    assert coder.lmbda is coder.distortion is coder.checkpoint is estimate is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (7, 150), (33, 20)])
def test_any_size_keeps_its_grid(name: PillowName, size: tuple[int, int]) -> None:
    coder, image = PillowCoder(name, QUALITIES[name][-1]), noise_image(0, *size)
    assert coder.decode(coder.encode(image).content).shape == image.shape


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_the_same_again_and_in_threads(name: PillowName) -> None:
    image = noise_image(1, 500, 700)  # wide enough for several of AVIF's tiles
    coder = PillowCoder(name, QUALITIES[name][2])
    with ThreadPoolExecutor(3) as pool:
        ((stream, _),) = {coder.encode(image), *pool.map(coder.encode, [image] * 3)}
        assert all(torch.equal(decoded, coder.decode(stream)) for decoded in pool.map(coder.decode, [stream] * 3))
    assert coder.is_threadsafe


def test_jpeg2000_reaches_its_quality() -> None:
    image = noise_image(2, 128, 128) * 0.8 + 0.2 * torch.rand(1, 3, 128, 128, generator=torch.manual_seed(0))
    image = (image * 255).round() / 255
    for quality in QUALITIES["jpeg2000"]:
        coder = PillowCoder("jpeg2000", quality)
        assert psnr_db(coder.decode(coder.encode(image).content), image).item() == pytest.approx(quality, abs=1.0)


def test_fingerprints() -> None:
    grid = [(name, quality) for name in NAMES for quality in QUALITIES[name]]
    fingerprints = [PillowCoder(name, quality).fingerprint for name, quality in grid]
    assert len(set(fingerprints)) == len(grid)
    assert fingerprints == [PillowCoder(name, quality).fingerprint for name, quality in grid]
    assert "'quality': 20" in PillowCoder("avif", 20).fingerprint


def mean_rates(name: PillowName, paths: list[Path]) -> list[float]:
    """The mean bits per pixel at each quality of a grid."""
    images = [read_image(path) for path in paths]
    coders = [PillowCoder(name, quality) for quality in QUALITIES[name]]
    return [float(np.mean([8 * len(c.encode(x).content) / x[0, 0].numel() for x in images])) for c in coders]


@pytest.mark.parametrize("name", NAMES)
def test_grids_span_the_rates_on_scenes(name: PillowName) -> None:
    rates = mean_rates(name, read_coco(scenes_root()).images[:8])
    assert rates == sorted(rates) and rates[0] < 0.3 and 0.8 < rates[-1] < 4, rates


@pytest.mark.parametrize("name", NAMES)
def test_grids_span_the_rates_on_photographs(name: PillowName) -> None:
    if "LIC_TEST_DATA" not in os.environ:
        pytest.skip("set LIC_TEST_DATA to the folder with kodak24")
    paths = sorted(Path(os.environ["LIC_TEST_DATA"], "kodak24").glob("*.png"))[::6]
    rates = mean_rates(name, paths)
    assert rates == sorted(rates) and rates[0] < 0.2 and 0.9 < rates[-1] < 1.6, rates


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_quality_for_bpp_against_every_quality(name: PillowName, images: list[Path]) -> None:
    tensors = [read_image(path) for path in images[:2]]

    def rate(quality: int) -> float:
        rates = []
        for path in images[:2]:
            file = io.BytesIO()
            with Image.open(path) as image:
                image.save(file, name, **settings(name, quality))
                rates.append(8 * file.tell() / (image.width * image.height))
        return float(np.mean(rates))

    rates = {quality: rate(quality) for quality in range(1, 96)}
    lowest, highest = min(rates.values()), max(rates.values())
    for bpp in (0.001, lowest, 1.05 * lowest, (lowest + highest) / 3, rates[50], 0.99 * highest, 100.0):
        chosen = rates[quality_for_bpp(name, tensors, bpp)]
        assert abs(chosen - bpp) == pytest.approx(min(abs(each - bpp) for each in rates.values())), bpp


def test_baseline_coders() -> None:
    coders = baseline_coders(EvalConfig(baseline=["webp", "jpeg2000"]))
    expected = [("webp", quality) for quality in QUALITIES["webp"]] + [("jpeg2000", q) for q in QUALITIES["jpeg2000"]]
    assert [(coder.codec, coder.quality) for coder in coders] == expected
    assert baseline_coders(EvalConfig(baseline=[])) == []


def test_pillow_without_a_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda name: name != "avif")
    with pytest.raises(ValueError, match=r"was built without avif; `pip install --upgrade pillow` has it") as error:
        baseline_coders(EvalConfig(baseline=["jpeg", "avif"]))
    assert "\n" not in str(error.value)
