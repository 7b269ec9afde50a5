"""The .lic container, read byte by byte beside the code that wrote it."""

import struct
from collections.abc import Callable

import pytest
import torch
import xxhash
from torch import Tensor

from lic.bitstream import BitstreamError, StreamHeader, decode, encode, read_stream_header
from lic.codecs import Codec, Strings, build_codec
from lic.config import CodecName

FINGERPRINT = bytes.fromhex("deadbeef")


@pytest.fixture(params=["bmshj2018-hyperprior", "mbt2018-mean"])
def codec(request: pytest.FixtureRequest) -> Codec:
    name: CodecName = request.param
    torch.manual_seed(0)
    codec = build_codec(name, 8, 12).eval()
    with torch.no_grad():
        codec.network.g_a[-1].weight *= 40  # latents of some units
    return codec


def noise(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


class Fake:
    """A codec whose strings are chosen and whose decoder only notes what it gets."""

    def __init__(self, *strings: bytes) -> None:
        self.strings = strings

    def compress(self, image: Tensor) -> Strings:
        return Strings(self.strings, (1, 1))

    def decompress(self, strings: Strings, height: int, width: int) -> tuple[Strings, int, int]:
        return strings, height, width


@pytest.fixture
def stream() -> bytes:
    return encode(noise(65, 130), Fake(b"first string", b"second"), FINGERPRINT, 0.013)  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 7), (65, 130)])
def test_round_trip(codec: Codec, height: int, width: int) -> None:
    image = noise(height, width)
    stream = encode(image, codec, FINGERPRINT, 0.01)
    decoded = decode(stream, codec, FINGERPRINT)
    with torch.no_grad():
        assert torch.equal(decoded, codec(image).reconstruction.clamp(0, 1))
    assert decoded.shape == image.shape
    strings = codec.compress(image).strings
    assert 19 <= len(stream) - sum(map(len, strings)) <= 23
    assert strings[0] + strings[1] in stream


def test_layout(stream: bytes) -> None:
    """The table in the module's docstring, by hand."""
    expected = b"LIC" + bytes([1]) + FINGERPRINT + struct.pack("<e", 0.013)
    expected += (65).to_bytes(2, "little") + (130).to_bytes(2, "little")
    expected += bytes([12]) + b"first string" + b"second"
    expected += xxhash.xxh32(expected).intdigest().to_bytes(4, "little")
    assert stream == expected
    header = read_stream_header(stream)
    assert header == StreamHeader(FINGERPRINT, pytest.approx(0.013, rel=1e-3), 65, 130)
    decoded: object = decode(stream, Fake(), FINGERPRINT)  # type: ignore[arg-type]
    assert decoded == (Strings((b"first string", b"second"), (2, 3)), 65, 130)


@pytest.mark.parametrize(
    ("length", "digits"),
    [
        (0, [0]),
        (1, [1]),
        (127, [127]),
        (128, [128, 1]),
        (300, [0b1010_1100, 0b10]),  # the example of Protocol Buffers' documentation
        (16_383, [255, 127]),
        (16_384, [128, 128, 1]),
        (2_097_152, [128, 128, 128, 1]),
    ],
)
def test_lengths_in_leb128(length: int, digits: list[int]) -> None:
    fake = Fake(bytes(length), b"z")
    stream = encode(noise(1, 1), fake, FINGERPRINT, 0.01)  # type: ignore[arg-type]
    assert list(stream[14 : 14 + len(digits)]) == digits
    assert len(stream) == 14 + len(digits) + length + 1 + 4
    decoded: object = decode(stream, fake, FINGERPRINT)  # type: ignore[arg-type]
    assert decoded == (Strings((bytes(length), b"z"), (1, 1)), 1, 1)


@pytest.mark.parametrize(("height", "width"), [(65_535, 1), (1, 65_535)])
def test_largest_sides(height: int, width: int) -> None:
    image = torch.empty(1).expand(1, 3, height, width)
    stream = encode(image, Fake(b"y", b"z"), FINGERPRINT, 65_504)  # type: ignore[arg-type]
    header = read_stream_header(stream)
    assert (header.height, header.width, header.lmbda) == (height, width, 65_504)
    decoded: object = decode(stream, Fake(), FINGERPRINT)  # type: ignore[arg-type]
    assert decoded == (Strings((b"y", b"z"), (-(-height // 64), -(-width // 64))), height, width)


def test_too_large() -> None:
    with pytest.raises(BitstreamError, match="up to 65535 x 65535 px, got 65536 x 2"):
        encode(torch.empty(1).expand(1, 3, 2, 65_536), Fake(b"", b""), FINGERPRINT, 0.01)  # type: ignore[arg-type]


def broken(change: Callable[[bytearray], object], stream: bytes) -> str:
    changed = bytearray(stream)
    change(changed)
    with pytest.raises(BitstreamError) as error:
        decode(bytes(changed), Fake(), FINGERPRINT)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_flipped_bit_is_found(stream: bytes) -> None:
    for position in range(len(stream)):
        for bit in range(8):
            broken(lambda s, at=position, by=bit: s.__setitem__(at, s[at] ^ 1 << by), stream)  # type: ignore[misc]


def test_every_truncation_is_found(stream: bytes) -> None:
    for length in range(len(stream)):
        broken(lambda s, to=length: s.__delitem__(slice(to, None)), stream)  # type: ignore[misc]
    broken(lambda s: s.append(0), stream)
    broken(lambda s: s.insert(0, 0), stream)


def test_causes(stream: bytes) -> None:
    assert broken(lambda s: s.__setitem__(0, 77), stream) == "not a .lic stream"
    assert broken(lambda s: s.__setitem__(3, 2), stream) == "stream of version 2; this program reads version 1"
    assert broken(lambda s: s.__setitem__(20, 0), stream) == "damaged stream: its checksum does not match"
    assert broken(lambda s: s.clear(), stream) == "not a .lic stream"


def test_another_checkpoint(stream: bytes) -> None:
    with pytest.raises(BitstreamError, match="coded with checkpoint deadbeef…, not with 01020304…"):
        decode(stream, Fake(), bytes([1, 2, 3, 4]))  # type: ignore[arg-type]
    assert issubclass(BitstreamError, ValueError)


@pytest.mark.parametrize("lengths", [[128], [255] * 12, [200, 1], [7]])
def test_length_beyond_the_end_with_a_right_checksum(lengths: list[int]) -> None:
    content = b"LIC" + bytes([1]) + FINGERPRINT + struct.pack("<eHH", 0.01, 64, 64) + bytes(lengths) + b"short"
    forged = content + xxhash.xxh32(content).intdigest().to_bytes(4, "little")
    with pytest.raises(BitstreamError):
        decode(forged, Fake(), FINGERPRINT)  # type: ignore[arg-type]
