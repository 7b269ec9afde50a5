"""The .lic container, read byte by byte beside the code that wrote it."""

import struct
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import xxhash

from lic.bitstream import (
    FIXED_BYTES,
    BitstreamError,
    decode,
    encode,
    find_checkpoint,
    find_codec,
    load_cached,
    read_stream_header,
)
from lic.bitstream.container import MAX_WHOLE_PIXELS, TILE_PX
from lic.codecs import SHIPPED, CodedImage, LoadedCodec
from lic.settings.names import CodecName
from tests.support import noise_image

from .conftest import VBR_GRID, MakeCodec

NAMES: list[CodecName] = ["bmshj2018-hyperprior", "mbt2018-mean-vbr", "elic2022-official"]


@pytest.fixture
def codec(make_codec: MakeCodec) -> LoadedCodec:
    return make_codec("bmshj2018-hyperprior")


def coded_without_container(codec: LoadedCodec, height: int, width: int, lmbda: float | None = None) -> CodedImage:
    return codec.codec.compress(noise_image(0, height, width), lmbda)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 7), (65, 130)])
def test_round_trip(name: CodecName, height: int, width: int, make_codec: MakeCodec) -> None:
    codec = make_codec(name)
    image = noise_image(0, height, width)
    stream = encode(image, codec)
    decoded = decode(stream, codec)
    with torch.no_grad():
        own = codec.codec(image, 0.013 if codec.codec.grid else None).reconstruction.clamp(0, 1)
    assert decoded.shape == image.shape
    torch.testing.assert_close(decoded, own, atol=2e-3, rtol=0)  # the stream's lmbda has 16 bits


@pytest.mark.parametrize("name", get_args(CodecName))
def test_overhead(name: CodecName, make_codec: MakeCodec) -> None:
    try:
        codec = make_codec(name)
    except ValueError:
        pytest.skip(f"{name} has no such widths")
    lmbda = float(np.float16(0.013)) if codec.codec.grid else None
    string = coded_without_container(codec, 64, 64, lmbda).string
    stream = encode(noise_image(0, 64, 64), codec, lmbda)
    assert stream[20:-4] == string
    assert len(stream) - len(string) == 24 <= FIXED_BYTES <= 40


def test_layout(codec: LoadedCodec) -> None:
    """The table in the module's docstring, by hand."""
    coded = coded_without_container(codec, 65, 130)
    expected = b"LIC" + bytes([2, 0, coded.num_threads]) + bytes.fromhex(codec.sha256)[:4]
    expected += struct.pack("<eHH", 0.01, 65, 130)
    symbols = int.from_bytes(coded.check, "big")
    expected += (symbols ^ xxhash.xxh32(expected).intdigest()).to_bytes(4, "big") + coded.string
    expected += xxhash.xxh32(expected).intdigest().to_bytes(4, "little")
    stream = encode(noise_image(0, 65, 130), codec)
    assert stream == expected
    header = read_stream_header(stream)
    assert header._replace(lmbda=0.01) == (coded.num_threads, codec.fingerprint, 0.01, 65, 130, coded.check)
    assert header.lmbda == pytest.approx(0.01, rel=1e-3)


def test_operating_points(make_codec: MakeCodec, codec: LoadedCodec) -> None:
    variable = make_codec("mbt2018-mean-vbr")
    image = noise_image(0, 64, 64)
    streams = [encode(image, variable, lmbda) for lmbda in (VBR_GRID[0], 0.005, 0.04, VBR_GRID[2])]
    assert sorted(map(len, streams)) == list(map(len, streams)), "larger is better and bigger"
    assert len({decode(stream, variable).sum().item() for stream in streams}) == 4
    assert encode(image, variable) == encode(image, variable, VBR_GRID[1])
    for wrong in (0.2, 0.0001, float("nan"), -1.0):
        with pytest.raises(ValueError, match="outside of this checkpoint's"):
            encode(image, variable, wrong)
    with pytest.raises(ValueError, match=r"codes at lmbda 0.01 only, not at 0.02"):
        encode(image, codec, 0.02)


@pytest.mark.parametrize(("height", "width"), [(2, 65_536), (0, 5)])
def test_sizes_without_a_stream(height: int, width: int, codec: LoadedCodec) -> None:
    with pytest.raises(ValueError, match=f"1 x 1 to 65535 x 65535 px, got {width} x {height}"):
        encode(torch.empty(1).expand(1, 3, height, width), codec)


def test_causes(codec: LoadedCodec) -> None:
    stream = encode(noise_image(0, 64, 64), codec)
    for damaged, cause in (
        (b"", "not a .lic stream"),
        (b"M" + stream[1:], "not a .lic stream"),
        (stream[:23], "damaged stream: it is cut short"),
        (stream[:3] + b"\x01" + stream[4:], "stream of version 1; this program reads version 2"),
        (stream[:-1], "damaged stream: its checksum does not match"),
        (stream + b"\0", "damaged stream: its checksum does not match"),
    ):
        with pytest.raises(BitstreamError) as error:
            decode(damaged, codec)
        assert str(error.value) == cause
    with pytest.raises(BitstreamError, match=r"stream of 64 x 64 px, more than the 4095 allowed \(--max_pixels\)"):
        decode(stream, codec, max_pixels=4095)
    assert issubclass(BitstreamError, ValueError)


def test_another_checkpoint(codec: LoadedCodec, make_codec: MakeCodec) -> None:
    stream, other = encode(noise_image(0, 64, 64), codec), make_codec("elic2022-official")
    with pytest.raises(BitstreamError, match=f"coded with checkpoint {codec.sha256[:8]}, not with {other.sha256[:8]}"):
        decode(stream, other)
    with pytest.raises(
        BitstreamError, match=rf"{codec.sha256[:8]}, which is not at hand; name its file \(--checkpoint"
    ):
        decode(stream)


def test_codecs_are_found_by_fingerprint(tmp_path: Path, codec_file: object, make_codec: MakeCodec) -> None:
    assert callable(codec_file)
    path, codec = codec_file("bmshj2018-hyperprior"), make_codec("bmshj2018-hyperprior")
    assert find_checkpoint(codec.fingerprint) is None
    assert find_checkpoint(codec.fingerprint, [codec_file("elic2022-official"), path]) == path
    assert find_codec(codec.fingerprint, [path]).sha256 == codec.sha256
    with pytest.raises(ValueError, match=r"none.safetensors does not exist"):
        find_checkpoint(codec.fingerprint, [tmp_path / "none.safetensors"])


def test_shipped_codecs_are_found() -> None:
    codec = load_cached(sorted(SHIPPED.glob("*.safetensors"))[0])
    stream = encode(noise_image(0, 64, 64), codec)
    assert torch.equal(decode(stream), decode(stream, codec))


def test_large_images_are_transformed_in_tiles(codec: LoadedCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int | None] = []

    def compress(*_: object) -> CodedImage:
        sides.append(codec.codec.tile_px)
        return CodedImage(b"", bytes(4), 1)

    monkeypatch.setattr(codec.codec, "compress", compress)
    width = MAX_WHOLE_PIXELS // 1024
    for num_columns in (width, width + 1):
        encode(torch.empty(1).expand(1, 3, 1024, num_columns), codec)
    monkeypatch.setattr(codec.codec, "tile_px", 640)
    encode(torch.empty(1).expand(1, 3, 1024, width + 1), codec)
    assert sides == [None, TILE_PX, 640] and codec.codec.tile_px == 640
