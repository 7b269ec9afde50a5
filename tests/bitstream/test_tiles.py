"""Images coded in tiles: no seams, and streams that both ways of decoding read."""

import pytest
import torch

from lic.bitstream import decode, encode
from lic.codecs import SHIPPED, LoadedCodec, load_codec
from tests.support import noise_image

from .conftest import MakeCodec

VISIBLE = 0.5 / 255


def in_tiles(codec: LoadedCodec, tile_px: int | None) -> LoadedCodec:
    codec.codec.tile_px = tile_px
    return codec


def largest_seam(codec: LoadedCodec, image: torch.Tensor) -> float:
    """Return the largest difference between decoding whole and in tiles, of streams coded whole and in tiles."""
    streams = [encode(image, in_tiles(codec, tile_px)) for tile_px in (None, 256)]
    pictures = [decode(stream, in_tiles(codec, tile_px)) for stream in streams for tile_px in (None, 256)]
    in_tiles(codec, None)
    assert all(picture.shape == image.shape for picture in pictures)
    assert pictures[0].std() > 0.01
    return max((picture - pictures[0]).abs().max().item() for picture in pictures)


@pytest.mark.parametrize(("height", "width"), [(512, 512), (300, 523), (257, 64)])
def test_the_shipped_codec_has_no_seams(height: int, width: int) -> None:
    codec = load_codec(SHIPPED / "mbt2018-mean-vbr-mlclipsim.safetensors")
    assert largest_seam(codec, noise_image(0, height, width)) < 1e-5


@pytest.mark.parametrize("name", ["elic2022-official", "mbt2018-mean-vbr", "dcvc-uf-intra"])
def test_no_visible_seams(name: str, make_codec: MakeCodec) -> None:
    codec = make_codec(name)  # type: ignore[arg-type]
    assert largest_seam(codec, noise_image(0, 320, 523)) < VISIBLE


def test_attention_reaches_no_further_than_the_overlap(make_codec: MakeCodec) -> None:
    assert largest_seam(make_codec("cheng2020-attn"), noise_image(0, 128, 320)) < VISIBLE
