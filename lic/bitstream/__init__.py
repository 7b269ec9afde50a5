"""The `.lic` container: a codec's strings and what is needed to decode them, in one file.

    offset  bytes  field
    0       3      magic "LIC"
    3       1      version, 1
    4       4      fingerprint: first 4 bytes of the checkpoint file's SHA-256
    8       2      lmbda of the operating point, float16
    10      2      height of the image, uint16
    12      2      width, uint16
    14      1-5    length of each string but the last, LEB128
    ...            the strings, in the codec's order (y, z)
    end-4   4      xxHash32 of everything before

All numbers are little-endian. The hyper latent's shape follows from the image's: sides padded to a multiple of 64,
divided by 64. What is no string takes 19 to 23 bytes, which counts: 20 bytes are 0.01 bpp of a 128 x 128 image.
"""

import struct
from typing import NamedTuple

import torch
import xxhash
from torch import Tensor

from lic.codecs import Codec, Strings
from lic.codecs.codec import STRIDE

MAGIC, VERSION = b"LIC", 1
FINGERPRINT_BYTES = 4
FIXED_BYTES = 33
"""What a stream costs beyond its symbols: 21 bytes of container, and about 6 of each string's final rANS state."""
_HEADER = struct.Struct("<3sB4seHH")
_CHECKSUM_BYTES = 4


class BitstreamError(ValueError):
    """A stream that cannot be decoded, and why."""


class StreamHeader(NamedTuple):
    """What a stream says of itself: fingerprint of the checkpoint, operating point, size in pixels."""

    fingerprint: bytes
    lmbda: float
    height: int
    width: int


def encode(image: Tensor, codec: Codec, fingerprint: bytes, lmbda: float) -> bytes:
    """Return the `.lic` stream of one image.

    Args:
        image: (1, 3, H, W), RGB in [0, 1], sides up to 65,535 px.
        codec: what codes it.
        fingerprint: 4 bytes that name the checkpoint.
        lmbda: the operating point, up to 65,504.
    """
    height, width = image.shape[-2:]
    if max(height, width) > 65_535:
        raise BitstreamError(f"a .lic stream holds up to 65535 x 65535 px, got {width} x {height}")
    strings = codec.compress(image).strings
    lengths = b"".join(_leb128(len(string)) for string in strings[:-1])
    content = _HEADER.pack(MAGIC, VERSION, fingerprint, lmbda, height, width) + lengths + b"".join(strings)
    return content + _checksum(content)


def read_stream_header(stream: bytes) -> StreamHeader:
    """Return what a stream says of itself, after checking that it is whole.

    Raises:
        BitstreamError: not a `.lic` stream, another version, or damaged.
    """
    if stream[:3] != MAGIC or len(stream) < _HEADER.size + _CHECKSUM_BYTES:
        raise BitstreamError("not a .lic stream")
    _, version, fingerprint, lmbda, height, width = _HEADER.unpack_from(stream)
    if version != VERSION:
        raise BitstreamError(f"stream of version {version}; this program reads version {VERSION}")
    if _checksum(stream[:-_CHECKSUM_BYTES]) != stream[-_CHECKSUM_BYTES:]:
        raise BitstreamError("damaged stream: its checksum does not match")
    return StreamHeader(fingerprint, lmbda, height, width)


def decode(stream: bytes, codec: Codec, fingerprint: bytes) -> Tensor:
    """Return the decoded image, (1, 3, H, W), RGB in [0, 1].

    Raises:
        BitstreamError: damaged, or coded with another checkpoint.
    """
    header = read_stream_header(stream)
    if header.fingerprint != fingerprint:
        raise BitstreamError(f"coded with checkpoint {header.fingerprint.hex()}…, not with {fingerprint.hex()}…")
    content = stream[:-_CHECKSUM_BYTES]
    length, start = _read_leb128(content + b"\0", _HEADER.size)  # the 0 ends a length that never does
    if start + length > len(content):
        raise BitstreamError("damaged stream: it ends before its strings do")
    y, z = content[start : start + length], content[start + length :]
    shape = (-(-header.height // STRIDE), -(-header.width // STRIDE))
    with torch.no_grad():
        return codec.decompress(Strings((y, z), shape), header.height, header.width)


def _checksum(content: bytes) -> bytes:
    return xxhash.xxh32_intdigest(content).to_bytes(_CHECKSUM_BYTES, "little")


def _leb128(number: int) -> bytes:
    """Return a number as base 128 digits, lowest first, the top bit set on all but the last."""
    digits = []
    while number >= 128:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes([*digits, number])


def _read_leb128(stream: bytes, start: int) -> tuple[int, int]:
    """Return the number at an offset and the offset after it."""
    number, position = 0, start
    while stream[position] >= 128:
        number += (stream[position] - 128) << 7 * (position - start)
        position += 1
    return number + (stream[position] << 7 * (position - start)), position + 1
