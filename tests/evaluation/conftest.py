"""Image files, an untrained metric and a small codec's checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lic.backbones.features import clip_backbone
from lic.codecs import Header, build_codec, save_codec
from lic.demo.networks import build_demo_clip
from lic.distortions import MLCLIPSim
from lic.evaluation.measure import Measures, build_measures
from lic.images import write_image
from lic.metrics import mlclipsim
from lic.settings.names import DEFAULT_METRICS, CodecName
from tests.support import ON_DEMO, SMALL

SIZES = ((64, 64), (64, 64), (48, 80), (64, 64), (48, 80), (33, 20))


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> Measures:
    """The usual metrics, ML-CLIPSim on random weights."""
    torch.manual_seed(0)
    random = MLCLIPSim(clip_backbone(build_demo_clip().visual)).eval()
    monkeypatch.setattr(mlclipsim, "build_mlclipsim", lambda _: random)
    return build_measures(DEFAULT_METRICS, ON_DEMO, torch.device("cpu"))


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Smooth images of three sizes with some noise, height x width as in SIZES."""
    generator = torch.Generator().manual_seed(0)
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"{i}.png" for i in range(len(SIZES))]
    for path, size in zip(paths, SIZES, strict=True):
        image = F.interpolate(torch.rand(1, 3, 5, 5, generator=generator), size, mode="bicubic")
        write_image(image + 0.02 * torch.randn(image.shape, generator=generator), path)
    return paths


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes an untrained codec's checkpoint and returns its path."""

    def make(
        name: str, lmbda: list[float], distortion: str = "mse", codec: CodecName = "mbt2018-mean", seed: int = 0,
        trained: dict[str, Any] | None = None,
    ) -> Path:  # fmt: skip
        torch.manual_seed(seed)
        network = build_codec(codec, 8, 12, lmbda)
        with torch.no_grad():
            network.network.g_a[-1].weight *= 40
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_codec(network, Header(codec, SMALL, lmbda, distortion, "noise", 1, {}, **(trained or {})), path)
        return path

    return make
