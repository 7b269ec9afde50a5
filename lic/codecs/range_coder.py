"""A range coder over numpy arrays of symbols, each symbol with the CDF table that its index names.

The coder is `constriction` (https://bamler-lab.github.io/constriction, a queue: first in, first out). Each call sorts
its symbols by table and codes each table's run in one pass; CompressAI's coder crosses to Python lists for every
call, reads past the end of short strings (CompressAI #300), and needs a string per call.

A table of CompressAI's ends with an entry for all values that it does not hold. Such an *escaped* value's distance
from the table follows after the call's symbols: the number of its hexadecimal digits, then the digits.
"""

import math
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import xxhash
from compressai.entropy_models import EntropyModel
from constriction import stream
from numpy.typing import NDArray

Integers = NDArray[np.int32]
Distribution = Any  # constriction has no types
_MAX_DIGITS = 8
_MAX_UNIFORM = 1 << 24
"""Most values that constriction's uniform distribution has: latents of a large photograph are more."""
SLACK_BITS = 256
"""How much longer a string may have been before its last zeros were left off; tables are rounded, too."""
_POWERS = 16 ** np.arange(_MAX_DIGITS)
_NUM_DIGITS, _DIGIT, _BIT = stream.model.Uniform(_MAX_DIGITS + 1), stream.model.Uniform(16), stream.model.Uniform(2)


class Tables(NamedTuple):
    """An entropy model's CDF tables: their distributions, the value of each one's first entry, its escape entry.

    Attributes:
        num_bits: what each entry of each table costs, -log2 of its probability.
        least_bits: what the cheapest entry of each table costs.
    """

    models: list[Distribution]
    offsets: Integers
    escapes: Integers
    num_bits: list[NDArray[np.float64]]
    least_bits: NDArray[np.float64]


_READ: "WeakKeyDictionary[EntropyModel, tuple[bytes, Tables]]" = WeakKeyDictionary()


def read_tables(model: EntropyModel) -> Tables:
    """Return the tables that `model.update()` has built; read anew when they have changed."""
    parts = [part.cpu().numpy() for part in (model.quantized_cdf, model.cdf_length, model.offset)]
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    kept = _READ.get(model)
    if kept is None or kept[0] != digest.digest():
        kept = _READ[model] = digest.digest(), _read(*parts)
    return kept[1]


def _read(cdfs: Integers, lengths: Integers, offsets: Integers) -> Tables:
    rows = [np.diff(cdf[:length]).astype(np.float64) for cdf, length in zip(cdfs, lengths, strict=True)]
    models = [stream.model.Categorical(row / row.sum(), perfect=False) for row in rows]
    num_bits = [np.log2(row.sum() / np.maximum(row, 1)) for row in rows]
    least_bits = np.array([bits.min() for bits in num_bits])
    return Tables(models, offsets.copy(), lengths.astype(np.int32) - 2, num_bits, least_bits)


class SymbolEncoder:
    """Appends arrays of symbols to one string.

    Attributes:
        num_bits: what the symbols so far should cost by their tables, without the sides of `encode_sides`.
    """

    def __init__(self) -> None:
        self.num_bits = 0.0
        self._encoder = stream.queue.RangeEncoder()
        self._digest = xxhash.xxh32()

    def encode(self, symbols: Integers, indexes: Integers, tables: Tables) -> None:
        """Append symbols.

        Args:
            symbols: (n,), any integers.
            indexes: (n,), each symbol's table.
            tables: of the entropy model.
        """
        self._digest.update(symbols.tobytes())
        order, counts = _by_table(indexes)
        entries = symbols[order] - tables.offsets[indexes[order]]
        escape = tables.escapes[indexes[order]]
        is_escaped = (entries < 0) | (entries >= escape)
        start = 0
        for index in np.flatnonzero(counts):
            run = slice(start, start := start + counts[index])
            coded = np.where(is_escaped[run], escape[run], entries[run])
            self._encoder.encode(coded, tables.models[index])
            self.num_bits += float(tables.num_bits[index][coded].sum())
        self._encode_escaped(np.where(entries < 0, -2 * entries - 1, 2 * (entries - escape))[is_escaped])

    def _encode_escaped(self, values: Integers) -> None:
        """Append values of 0 or more, lowest digit first."""
        if len(values):
            num_digits = np.searchsorted(_POWERS, values, side="right").astype(np.int32)
            places = np.arange(num_digits.max())
            digits = (values[:, None] >> 4 * places) & 15
            self._encoder.encode(num_digits, _NUM_DIGITS)
            self._encoder.encode(digits[places < num_digits[:, None]].astype(np.int32), _DIGIT)
            self.num_bits += len(values) * math.log2(_MAX_DIGITS + 1) + 4 * int(num_digits.sum())

    def encode_sides(self, positions: Integers, are_above: Integers, count: int) -> None:
        """Append a few of `count` positions, usually none, and a bit for each.

        Args:
            positions: (n,), below `count`.
            are_above: (n,), 0 or 1.
            count: what the decoder knows too.
        """
        has_any = np.array([len(positions) > 0], np.int32)
        self._encoder.encode(has_any, _is_any(count))
        if len(positions):
            self._encode_below(np.array([len(positions) - 1], np.int32), count)
            self._encode_below(positions, count)
            self._encoder.encode(are_above, _BIT)

    def _encode_below(self, values: Integers, count: int) -> None:
        """Append values below `count`, all as likely."""
        if count > _MAX_UNIFORM:
            self._encoder.encode(values >> 16, stream.model.Uniform((count >> 16) + 1))
            values, count = values & 0xFFFF, 1 << 16
        self._encoder.encode(values, stream.model.Uniform(max(count, 2)))

    def finish(self) -> bytes:
        """Return the string. The decoder supplies zeros beyond its end, so that those at its end are left off."""
        words: NDArray[np.uint32] = self._encoder.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0")

    @property
    def digest(self) -> bytes:
        """4 bytes that depend on every symbol so far."""
        return self._digest.digest()


class SymbolDecoder:
    """Reads what a SymbolEncoder wrote, call by call; any bytes at all decode to some symbols or raise ValueError."""

    def __init__(self, string: bytes) -> None:
        words = np.frombuffer(string + bytes(-len(string) % 4), "<u4").astype(np.uint32)
        self._decoder = stream.queue.RangeDecoder(words)
        self._digest = xxhash.xxh32()
        self._bits_left = 1.01 * 8 * len(string) + SLACK_BITS

    def decode(self, indexes: Integers, tables: Tables) -> Integers:
        """Return the next symbols, (n,).

        Args:
            indexes: (n,), each symbol's table.
            tables: of the entropy model.

        Raises:
            ValueError: the string cannot be decoded, or is too short for so many symbols even if each is its table's
                cheapest: what claims a huge image in a few bytes is found out before the work that it asks for.
        """
        order, counts = _by_table(indexes)
        self._bits_left -= float(counts @ tables.least_bits[: len(counts)])
        if self._bits_left < 0:
            raise ValueError("it is too short for an image of its size")
        entries = np.empty(len(indexes), np.int32)
        start = 0
        for index in np.flatnonzero(counts):
            run = slice(start, start := start + counts[index])
            entries[run] = self._decode(tables.models[index], int(counts[index]))
        escape = tables.escapes[indexes[order]]
        is_escaped = entries == escape
        if is_escaped.any():
            values = self._decode_escaped(int(is_escaped.sum()))
            below, above = -(values + 1) // 2, values // 2 + escape[is_escaped]
            entries[is_escaped] = np.where(values % 2, below, above)
        symbols = np.empty_like(entries)
        symbols[order] = entries + tables.offsets[indexes[order]]
        self._digest.update(symbols.tobytes())
        return symbols

    def decode_sides(self, count: int) -> tuple[Integers, Integers]:
        """Return the positions, below `count`, and the bit of each."""
        if not self._decode(_is_any(count), 1)[0]:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        num_positions = int(self._decode_below(count, 1)[0]) + 1
        return self._decode_below(count, num_positions), self._decode(_BIT, num_positions)

    def _decode_below(self, count: int, num_values: int) -> Integers:
        high = self._decode(stream.model.Uniform((count >> 16) + 1), num_values) << 16 if count > _MAX_UNIFORM else 0
        low = self._decode(stream.model.Uniform(1 << 16 if count > _MAX_UNIFORM else max(count, 2)), num_values)
        return np.minimum(high + low, count - 1)

    def _decode_escaped(self, count: int) -> NDArray[np.int64]:
        num_digits = self._decode(_NUM_DIGITS, count)
        digits = np.zeros((count, _MAX_DIGITS), np.int64)
        is_digit = np.arange(_MAX_DIGITS) < num_digits[:, None]
        digits[is_digit] = self._decode(_DIGIT, int(num_digits.sum()))
        return np.asarray((digits << 4 * np.arange(_MAX_DIGITS)).sum(1))

    def _decode(self, model: Distribution, count: int) -> Integers:
        try:
            symbols: Integers = self._decoder.decode(model, count)
        except AssertionError as error:  # constriction's name for a string that no encoder writes
            raise ValueError("its symbols cannot be decoded") from error
        return symbols

    @property
    def digest(self) -> bytes:
        """4 bytes that depend on every symbol so far; equal to the encoder's if all symbols are."""
        return self._digest.digest()


def _is_any(count: int) -> Distribution:
    """Return the distribution of whether any of so many scales lies between two tables: about one in 2^16 does."""
    return stream.model.Bernoulli(min(count, 2**15) / 2**16, perfect=False)


def _by_table(indexes: Integers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order that sorts symbols by table, and the number of each table's symbols."""
    return np.argsort(indexes.astype(np.uint16), kind="stable"), np.bincount(indexes)
