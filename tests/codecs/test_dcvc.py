"""DCVC-UF-Intra: parts against plain ones. For the official outputs see test_convert_dcvc, for strings test_codec."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lic.codecs import build_codec
from lic.codecs.dcvc import DCVCUFIntra, gather, scatter
from lic.codecs.dcvc_layers import to_rgb, to_ycbcr
from lic.codecs.dcvc_prior import LARGEST, RateBottleneck
from lic.codecs.range_coder import read_tables
from tests.codecs.conftest import GRID


def test_number_of_parameters() -> None:
    count = sum(parameter.numel() for parameter in DCVCUFIntra().parameters())
    assert count == 42_179_328  # of the official class


def plain_mask(step: int, channels: int, height: int, width: int) -> Tensor:
    """What a step codes, by the official tables of 2 x 2 squares."""
    squares = {0: ((1, 0), (0, 0)), 1: ((0, 1), (0, 0)), 2: ((0, 0), (1, 0)), 3: ((0, 0), (0, 1))}
    order = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))[step]
    quarters = [torch.tensor(squares[which]).repeat(height, width)[:height, :width] for which in order]
    return torch.stack(quarters).repeat_interleave(channels // 4, 0).bool()[None]


@pytest.mark.parametrize(("height", "width"), [(4, 6), (3, 5), (1, 1), (1, 4)])
def test_steps_code_every_place_once(height: int, width: int) -> None:
    board = 1 + torch.arange(2 * 8 * height * width).float().view(2, 8, height, width)
    for step in range(4):
        mask = plain_mask(step, 8, height, width)
        values = gather(board, step)
        assert sorted(values[0].tolist()) == sorted(board[:1][mask].tolist())
        assert torch.equal(scatter(values, step, board.shape), board * mask)


def test_colours() -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(to_rgb(to_ycbcr(image)), image, rtol=0, atol=1e-6)
    matrix = torch.tensor([[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]])  # BT.709-6
    expected = torch.einsum("ij,bjhw->bihw", matrix, image) - torch.tensor([0.5, 0, 0]).view(1, 3, 1, 1)
    assert torch.allclose(to_ycbcr(image), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("m", [0, 6, -4])
def test_latent_channels_are_quarters(m: int) -> None:
    with pytest.raises(ValueError, match=f"a multiple of 4, got {m}$"):
        DCVCUFIntra(8, m)


def test_a_step_sees_none_of_the_later_ones() -> None:
    torch.manual_seed(0)
    network, y = DCVCUFIntra(8, 8).eval(), 3 * torch.randn(1, 8, 5, 6)
    z_hat = torch.randn(1, 4, 2, 2).round()

    def predictions(latent: Tensor) -> list[Tensor]:
        seen: list[Tensor] = []

        def code(values: Tensor, scales: Tensor, means: Tensor) -> Tensor:
            seen.append(torch.cat([scales, means], 1))
            return values

        with torch.no_grad():
            network._decode_latent(z_hat, latent, code)
        return seen

    first = predictions(y)
    for step in range(4):
        other = predictions(y + scatter(torch.ones_like(gather(y, step)), step, y.shape))
        is_same = [torch.equal(a, b) for a, b in zip(first, other, strict=True)]
        assert is_same == [later <= step for later in range(4)]


def test_tables_hold_the_density() -> None:
    torch.manual_seed(0)
    model = RateBottleneck(3, 4).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    model.update()
    tables, rate = read_tables(model), torch.tensor([1])
    values = torch.arange(-LARGEST, LARGEST + 1).float().view(1, 1, -1, 1).expand(1, 4, -1, 1)
    with torch.no_grad():
        expected = model(values, rate)[0, :, :, 0].double()
    rows = model.build_indexes(rate, 1, 1).flatten().tolist()
    assert rows == [4, 5, 6, 7]
    for row, likelihood in zip(rows, expected, strict=True):
        first = int(tables.offsets[row]) + LARGEST
        inside = 2.0 ** -torch.from_numpy(tables.num_bits[row][:-1])
        assert torch.allclose(inside, likelihood[first : first + len(inside)], rtol=0, atol=len(inside) / 2**16)
        assert likelihood.sum() - likelihood[first : first + len(inside)].sum() < 3e-4  # with what the bound adds


def test_rates_rise_with_lmbda_and_the_nearest_is_taken(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec("dcvc-uf-intra"), make_image(64, 96)
    assert [codec.rate(lmbda) for lmbda in (0.005, 0.0051, 0.0052, 0.0203, 0.08)] == [0, 0, 1, 32, 63]
    sizes = [len(codec.compress(image, lmbda).string) for lmbda in (0.005, 0.02, 0.08)]
    assert sizes == sorted(sizes) and sizes[0] < 0.9 * sizes[-1]
    assert codec.compress(image, 0.02) == codec.compress(image, 0.0201)
    for lmbda in (0.0049, 0.081, float("nan")):
        with pytest.raises(ValueError, match=r"outside of this checkpoint's 0.005 .. 0.08"):
            codec.compress(image, lmbda)


def test_one_lmbda_is_one_rate(make_image: Any) -> None:
    codec, image = build_codec("dcvc-uf-intra", 8, 8, [0.01]).eval(), make_image(33, 40)
    assert codec.rates == (0.01,) and codec.rate(0.01) == 0
    coded = codec.compress(image, 0.01)
    with torch.no_grad():
        assert torch.equal(codec.decompress(coded, 33, 40, 0.01), codec(image, 0.01).reconstruction.clamp(0, 1))


def test_images_at_rates_of_their_own(make_codec: Any, make_image: Any) -> None:
    codec, images = make_codec("dcvc-uf-intra"), torch.cat([make_image(48, 64, seed) for seed in range(3)])
    with torch.no_grad():
        together = codec(images, list(GRID))
        for i, lmbda in enumerate(GRID):
            alone = codec(images[i : i + 1], lmbda)
            assert torch.allclose(together.reconstruction[i], alone.reconstruction[0], rtol=0, atol=1e-3)
            assert together.bpp[i].item() == pytest.approx(alone.bpp.item(), rel=1e-4)
