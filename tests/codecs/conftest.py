"""Small codecs whose latents are as large as a trained codec's, without the training."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lic.codecs import Codec, build_codec
from lic.config import CodecName

MakeCodec = Callable[..., Codec]


def _make(name: CodecName = "mbt2018-mean", seed: int = 0) -> Codec:
    torch.manual_seed(seed)
    codec = build_codec(name, 8, 12)
    with torch.no_grad():
        codec.network.g_a[-1].weight *= 40  # latents of some units, hyper latents too
        codec.network.h_a[-1].weight *= 4
        last = codec.network.h_s[-1 if name == "mbt2018-mean" else -2]
        last.weight *= 2
        last.bias[:12] += 4  # scales that suit those latents
    return codec.eval()


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
