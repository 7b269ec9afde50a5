"""The `.lic` container: one image's coded symbols and what is needed to decode them.

    offset  bytes  field
    0       3      magic "LIC"
    3       1      version, 2
    4       1      colour of the pixels; 0: RGB as sRGB (IEC 61966-2-1), the only one
    5       1      number of threads that the encoder computed with, 1 .. 16
    6       4      fingerprint: first 4 bytes of the SHA-256 of the codec's checkpoint file; a checkpoint whose decoder
                   alone was tuned writes and reads the fingerprint of the file that it was tuned from
    10      2      lmbda of the operating point, float16
    12      2      height of the image, uint16
    14      2      width, uint16
    16      4      check value: xxHash32 of the symbols (int32, in the order in which they are coded),
                   xor xxHash32 of bytes 0 .. 15; both big-endian
    20      ...    the symbols of all latents, from one range coder
    end-4   4      xxHash32 of everything before

All other numbers are little-endian. The latents' shapes follow from the image's. 24 bytes are no symbols, which
counts: 20 bytes are 0.01 bpp of a 128 x 128 image.

The last field finds damage before anything is decoded. The check value finds symbols that the decoder's arithmetic
got wrong, and settings that would show the right symbols as another picture: the size, a variable rate's lmbda.
Neither is a signature: who can encode can make a stream of any picture.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash
from torch import Tensor

from lic.codecs import Codec, CodedImage, LoadedCodec, load_codec, shipped_codecs
from lic.codecs.checkpoint import streams_of
from lic.codecs.codec import MAX_THREADS

MAGIC, VERSION, SRGB = b"LIC", 2, 0
MAX_PIXELS = 2**26
MAX_WHOLE_PIXELS, TILE_PX = 2**23, 2048
FIXED_BYTES = 28
"""What a stream costs beyond its symbols: 24 bytes of container, and about 4 at the range coder's end."""
_HEADER = struct.Struct("<3sBBB4seHH4s")
_CHECK_AT = 16
_CHECKSUM_BYTES = 4


class BitstreamError(ValueError):
    """A stream that cannot be decoded, and why, in one line."""


class StreamHeader(NamedTuple):
    """What a stream says of itself.

    Attributes:
        num_threads: that the encoder computed with.
        fingerprint: of the checkpoint.
        lmbda: the operating point.
        height, width: in pixels.
        check: of the symbols alone.
    """

    num_threads: int
    fingerprint: bytes
    lmbda: float
    height: int
    width: int
    check: bytes


class Encoded(NamedTuple):
    """A stream, and the bits that it should take by the symbols' probabilities and what is fixed (None: unknown)."""

    content: bytes
    num_bits_estimated: float | None


def encode(image: Tensor, codec: LoadedCodec, lmbda: float | None = None) -> bytes:
    """Return the `.lic` stream of one image; see `encode_with_estimate`."""
    return encode_with_estimate(image, codec, lmbda).content


def encode_with_estimate(image: Tensor, codec: LoadedCodec, lmbda: float | None = None) -> Encoded:
    """Return the `.lic` stream of one image, and how long it should be.

    Args:
        image: (1, 3, H, W), RGB in [0, 1], sides up to 65,535 px.
        codec: what codes it.
        lmbda: a variable-rate codec's operating point, anywhere in its range; default the middle of its grid.

    Raises:
        ValueError: the image is too large or empty, or the lmbda is not the codec's.
    """
    height, width = image.shape[-2:]
    if not 1 <= min(height, width) <= max(height, width) <= 65_535:
        raise ValueError(f"a .lic stream holds 1 x 1 to 65535 x 65535 px, got {width} x {height}")
    point = operating_point(codec, lmbda)
    with _bounded_memory(codec.codec, height * width):
        coded = codec.codec.compress(image.to(codec.codec.device), point if codec.codec.grid else None)
    header = _HEADER.pack(MAGIC, VERSION, SRGB, coded.num_threads, codec.fingerprint, point, height, width, bytes(4))
    fields = header[:_CHECK_AT]
    content = fields + _bind(coded.check, fields) + coded.string
    return Encoded(content + _checksum(content), coded.num_bits_estimated + 8 * FIXED_BYTES)


def operating_point(codec: LoadedCodec, lmbda: float | None) -> float:
    """Return the lmbda at which a codec codes, as a stream holds it.

    Raises:
        ValueError: a single-rate codec has another one.
    """
    own = codec.header.lmbda
    if lmbda is None:
        lmbda = sorted(own)[len(own) // 2]
    elif not codec.codec.grid and lmbda not in own:
        raise ValueError(f"this {codec.header.codec} codes at lmbda {own[0]:g} only, not at {lmbda:g}")
    return float(np.float16(lmbda))


def read_stream_header(stream: bytes, max_pixels: int = MAX_PIXELS) -> StreamHeader:
    """Return what a stream says of itself, after checking that it is whole.

    Raises:
        BitstreamError: not a `.lic` stream, of another version, damaged, or of more pixels than allowed.
    """
    if stream[:3] != MAGIC:
        raise BitstreamError("not a .lic stream")
    if len(stream) < _HEADER.size + _CHECKSUM_BYTES:
        raise BitstreamError("damaged stream: it is cut short")
    _, version, colour, num_threads, fingerprint, lmbda, height, width, check = _HEADER.unpack_from(stream)
    if version != VERSION:
        raise BitstreamError(f"stream of version {version}; this program reads version {VERSION}")
    if _checksum(memoryview(stream)[:-_CHECKSUM_BYTES]) != stream[-_CHECKSUM_BYTES:]:
        raise BitstreamError("damaged stream: its checksum does not match")
    is_sensible = 1 <= num_threads <= MAX_THREADS and 0 < lmbda < math.inf and min(height, width) > 0
    if colour != SRGB or not is_sensible:
        raise BitstreamError("damaged stream: its header makes no sense")
    if height * width > max_pixels:
        raise BitstreamError(f"stream of {width} x {height} px, more than the {max_pixels} allowed (--max_pixels)")
    return StreamHeader(num_threads, fingerprint, lmbda, height, width, _bind(check, stream[:_CHECK_AT]))


def decode(stream: bytes, codec: LoadedCodec | None = None, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Return the decoded image, (1, 3, H, W), RGB in [0, 1], on the codec's device.

    Args:
        stream: any bytes.
        codec: the one that coded it; default it is looked for among the shipped ones.
        max_pixels: refuse larger images before anything is allocated.

    Raises:
        BitstreamError: damaged, coded with another checkpoint, or with arithmetic that this machine does not repeat.
    """
    header = read_stream_header(stream, max_pixels)
    if codec is None:
        codec = find_codec(header.fingerprint)
    elif codec.fingerprint != header.fingerprint:
        raise BitstreamError(f"coded with checkpoint {header.fingerprint.hex()}, not with {codec.fingerprint.hex()}")
    coded = CodedImage(stream[_HEADER.size : -_CHECKSUM_BYTES], header.check, header.num_threads)
    point = header.lmbda if codec.codec.grid else None
    try:
        with _bounded_memory(codec.codec, header.height * header.width):
            return codec.codec.decompress(coded, header.height, header.width, point)
    except (ValueError, RuntimeError, MemoryError) as error:  # torch's name for too little memory is RuntimeError
        reason = str(error).strip().splitlines() or ["too little memory"]
        raise BitstreamError(f"the stream cannot be decoded: {reason[0][:160]}") from error


def find_codec(fingerprint: bytes, checkpoints: Sequence[Path] = ()) -> LoadedCodec:
    """Return the checkpoint of a fingerprint among given files and those shipped, on the CPU.

    Raises:
        BitstreamError: there is none.
        ValueError: a given file is missing, or the one that fits is no codec's.
    """
    path = find_checkpoint(fingerprint, checkpoints)
    if path is None:
        raise BitstreamError(
            f"coded with checkpoint {fingerprint.hex()}, which is not at hand; name its file (--checkpoint)"
        )
    return load_cached(path)


def find_checkpoint(fingerprint: bytes, checkpoints: Sequence[Path] = ()) -> Path | None:
    """Return the file of a fingerprint among given ones and those shipped, None if there is none; reads no weights.

    Raises:
        ValueError: a given file is missing.
    """
    for path in (*checkpoints, *shipped_codecs()):
        if not path.is_file():
            raise ValueError(f"checkpoint {path} does not exist")
        if _fingerprint(path, path.stat().st_mtime_ns) == fingerprint:
            return path
    return None


def load_cached(path: Path) -> LoadedCodec:
    """Return `load_codec(path)`, the same object again while the file does not change."""
    return _load(path, path.stat().st_mtime_ns) if path.is_file() else load_codec(path)


@lru_cache(maxsize=256)
def _fingerprint(path: Path, modified_ns: int) -> bytes:
    return bytes.fromhex(streams_of(path))[:4]


@lru_cache(maxsize=8)
def _load(path: Path, modified_ns: int) -> LoadedCodec:
    return load_codec(path)


@contextmanager
def _bounded_memory(codec: Codec, num_pixels: int) -> Iterator[None]:
    """Transform large images in tiles, unless the codec does so anyway: whole, each Mpx takes 0.3 GB."""
    own = codec.tile_px
    if own is None and num_pixels > MAX_WHOLE_PIXELS:
        codec.tile_px = TILE_PX
    try:
        yield
    finally:
        codec.tile_px = own


def _bind(check: bytes, fields: bytes) -> bytes:
    """Return the symbols' check value for the given fields before it; applied twice, the check value again."""
    return bytes(a ^ b for a, b in zip(check, xxhash.xxh32_digest(fields), strict=True))


def _checksum(content: bytes | memoryview) -> bytes:
    return xxhash.xxh32_intdigest(content).to_bytes(_CHECKSUM_BYTES, "little")
