"""Layers made for inference give what CompressAI's and torch's own give; tiles give what the whole gives."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from compressai.layers import GDN
from torch import nn

from lic.codecs.inference import CachedGDN, SubpixelDeconvolution, Tiled, quicken


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gdn(inverse: bool, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    gdn = GDN(6, inverse)
    with torch.no_grad():
        gdn.gamma.add_(torch.rand(6, 6) * 0.1)
    image = (torch.randn(2, 6, 50, 61) * 3).contiguous(memory_format=memory_format)
    with torch.no_grad():
        expected = gdn(image)
    network = nn.Sequential(gdn)
    quicken(network)
    assert type(network[0]) is CachedGDN
    with torch.no_grad():
        assert torch.allclose(network(image.clone(memory_format=memory_format)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_gradient_of_gdn(
    inverse: bool, memory_format: torch.memory_format, dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    plain, quick = GDN(6, inverse), GDN(6, inverse)
    with torch.no_grad():
        plain.gamma.add_(torch.rand(6, 6) * 0.1)
    quick.load_state_dict(plain.state_dict())
    quicken(nn.Sequential(quick))
    image = (torch.randn(2, 6, 50, 61) * 3).to(dtype).contiguous(memory_format=memory_format)
    upper, found = torch.randn(image.shape), []
    for gdn in (plain, quick):
        seen = image.clone().to(torch.float32 if gdn is plain else dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16 and gdn is quick):
            normalised = gdn(seen)
        assert normalised.dtype == seen.dtype
        (normalised.float() * upper).sum().backward()
        assert torch.equal(seen.detach(), image.to(seen.dtype)), "written into, though others may see it"
        found.append([normalised, seen.grad, gdn.beta.grad, gdn.gamma.grad])
    for expected, ours in zip(*found, strict=True):
        assert (expected - ours).norm() < tolerance * expected.norm()


def test_gradient_of_gdn_by_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lic.codecs.inference._ROWS", 3)
    torch.manual_seed(0)
    for inverse in (False, True):
        gdn = CachedGDN(4, inverse).double()
        image = torch.randn(1, 4, 2, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(gdn, image)


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (4, 7), (16, 16)])
def test_deconvolution(has_bias: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(5, 3, 5, 2, 2, 1, bias=has_bias)
    image = torch.randn(2, 5, *size)
    with torch.no_grad():
        expected = layer(image)
    network = nn.Sequential(layer)
    quicken(network)
    assert type(layer) is SubpixelDeconvolution
    with torch.no_grad():
        assert torch.allclose(network(image), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(network(image), expected)


@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(5, 3, 3, 2, 1, 1), nn.ConvTranspose2d(5, 16, 5, 2, 2, 1)])
def test_other_deconvolutions_stay(layer: nn.Module) -> None:
    quicken(nn.Sequential(layer))
    assert type(layer) is nn.ConvTranspose2d


@pytest.mark.parametrize(("tile", "height", "width"), [(8, 8, 8), (8, 24, 40), (8, 20, 12), (64, 24, 24)])
def test_tiles_are_seamless_where_the_overlap_covers_the_field_of_view(tile: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    synthesis = nn.Sequential(nn.ConvTranspose2d(2, 2, 5, 2, 2, 1), nn.ReLU(), nn.ConvTranspose2d(2, 3, 5, 2, 2, 1))
    analysis = nn.Sequential(nn.Conv2d(2, 2, 5, 2, 2), nn.ReLU(), nn.Conv2d(2, 3, 5, 2, 2))
    latent = torch.randn(1, 2, height, width)
    with torch.no_grad():
        tiled = Tiled(synthesis, tile, 4, 4)(latent)
        assert torch.allclose(tiled, synthesis(latent), rtol=0, atol=1e-5)
        tiled = Tiled(analysis, 4 * tile, 16, 1 / 4)(latent)
        assert torch.allclose(tiled, analysis(latent), rtol=0, atol=1e-5)


def test_a_codec_codes_in_tiles(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(), make_image(300, 410)
    whole = codec.compress(image)
    expected = codec.decompress(whole, 300, 410)
    codec.tile_px = 128
    assert torch.allclose(codec.decompress(whole, 300, 410), expected, rtol=0, atol=1e-4)
    in_tiles = codec.compress(image)
    assert abs(len(in_tiles.string) - len(whole.string)) < 0.001 * len(whole.string)
    assert codec.decompress(in_tiles, 300, 410).shape == image.shape
    codec.tile_px = None
    assert torch.allclose(codec.decompress(in_tiles, 300, 410), expected, rtol=0, atol=0.05)


def test_training_in_channels_last_keeps_the_heap() -> None:
    """In a process of its own, which torch 2.15's strided 1 x 1 convolution ends, at the codec named last."""
    program = """
import torch
from lic.codecs import build_codec
for name in ("cheng2020-anchor", "cheng2020-anchor-checkerboard", "mlicpp"):
    print(name, flush=True)
    codec = build_codec(name, 32, 32).train().to(memory_format=torch.channels_last)
    for _ in range(4):
        output = codec(torch.rand(4, 3, 128, 128))
        (output.bpp.mean() + output.reconstruction.square().mean()).backward()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=300)
