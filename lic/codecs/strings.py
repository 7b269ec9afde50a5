"""What a network's `compress` returns as strings: placeholders for what the house codes, and a coder's own bytes."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import xxhash

from lic.settings import require

_LENGTH = struct.Struct("<I")


def layout_of(strings: Any) -> Any:
    """Return nested lists of strings with True for each that is the network's own, None for placeholders."""
    if isinstance(strings, list | tuple):
        return [layout_of(one) for one in strings]
    return True if isinstance(strings, bytes) else None


def own_strings(strings: Any) -> list[bytes]:
    """Return the strings in nested lists that are the network's own, in order."""
    if isinstance(strings, list | tuple):
        return [own for one in strings for own in own_strings(one)]
    return [strings] if isinstance(strings, bytes) else []


def count_own(layout: Any) -> int:
    """Return how many strings of a layout are the network's own."""
    return sum(map(count_own, layout)) if isinstance(layout, list) else int(layout is True)


def fill(layout: Any, own: Iterator[bytes]) -> Any:
    """Return a layout with strings in the network's own places."""
    if isinstance(layout, list):
        return [fill(one, own) for one in layout]
    return next(own) if layout else None


def scale_shape(shape: Any, rows: int, columns: int) -> Any:
    """Return a shape, or any dict or list of shapes, whose last two sides are multiplied."""
    if isinstance(shape, dict):
        return {name: scale_shape(part, rows, columns) for name, part in shape.items()}
    if isinstance(shape[0], int):
        return (*shape[:-2], shape[-2] * rows, shape[-1] * columns)
    return [scale_shape(part, rows, columns) for part in shape]


def join(symbols: bytes, own: Sequence[bytes]) -> bytes:
    """Return one string: each of the network's own behind its length, then the house's."""
    return b"".join([*(_LENGTH.pack(len(one)) + one for one in own), symbols])


def split(string: bytes, num_own: int) -> tuple[bytes, list[bytes]]:
    """Return the house's string and the network's own.

    Raises:
        ValueError: it is cut short.
    """
    own, start = [], 0
    for _ in range(num_own):
        require(start + _LENGTH.size <= len(string), "it is cut short")
        (length,) = _LENGTH.unpack_from(string, start)
        start += _LENGTH.size + length
        require(start <= len(string), "it is cut short")
        own.append(string[start - length : start])
    return string[start:], own


def bind(digest: bytes, own: Sequence[bytes]) -> bytes:
    """Return a check value of the house's symbols that depends on the network's own strings, too."""
    for one in own:
        digest = bytes(a ^ b for a, b in zip(digest, xxhash.xxh32_digest(one), strict=True))
    return digest
