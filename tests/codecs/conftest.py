"""Small codecs whose latents are as large as a trained codec's, without the training."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lic.codecs import Codec, build_codec
from lic.codecs.build import codec_card
from lic.settings.names import CodecName

MakeCodec = Callable[..., Codec]
GRID = (0.005, 0.02, 0.08)


def small_widths(name: CodecName) -> tuple[int, int]:
    """N and M of a codec that tests build in no time."""
    m = 32 if name.startswith("mlicpp") else 12
    return 8, m if "num_latent_channels" in codec_card(name).options else 8


def small_codec(name: CodecName) -> Codec:
    """A codec of small widths, its weights as drawn."""
    return build_codec(name, *small_widths(name), GRID if codec_card(name).has_grid else ())


def a_point(name: CodecName) -> float | None:
    """What a codec's coding takes for an operating point."""
    return GRID[1] if codec_card(name).has_grid else None


def _make(name: CodecName = "mbt2018-mean", seed: int = 0) -> Codec:
    torch.manual_seed(seed)
    codec = small_codec(name)
    with torch.no_grad():
        _last_convolution(codec.network.g_a).weight *= 40  # latents of some units, hyper latents too
        for path, module in codec.network.named_modules():
            if isinstance(module, nn.Identity):
                continue
            if path.endswith("h_a"):
                _last_convolution(module).weight *= 4
            if path == "h_a" and codec.rates:
                module[0].adaptor.weight *= 0.05  # of dcvc, whose blocks add to what comes in
            if path in ("fusion", "prior"):
                last = _last_convolution(module)
                last.weight *= 0.01
                last.bias[: len(last.bias) // 2] += 10
            if path.endswith(("h_s", "entropy_parameters")):
                last = _last_convolution(module)
                last.weight *= 2
                last.bias[: 12 if path == "h_s" else len(last.bias) // 2] += 4  # scales that suit those latents
    return codec.eval()


def _last_convolution(layers: nn.Module) -> nn.Module:
    return [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]


@pytest.fixture
def make_codec() -> MakeCodec:
    """A function from a codec's name and a seed to a codec in eval mode, its CDF tables not built."""
    return _make


@pytest.fixture
def make_image() -> Callable[..., Tensor]:
    """A function from height, width and seed to a noise image (1, 3, H, W)."""

    def make(height: int, width: int, seed: int = 1) -> Tensor:
        return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))

    return make
