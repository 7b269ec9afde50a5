"""The range coder: any symbols come back, CompressAI's coder is no shorter, and no bytes harm the decoder."""

import numpy as np
import pytest
import torch
from compressai.entropy_models import GaussianConditional
from compressai.models.base import get_scale_table

from lic.codecs.range_coder import Integers, SymbolDecoder, SymbolEncoder, Tables, read_tables


@pytest.fixture(scope="module")
def gaussian() -> GaussianConditional:
    model = GaussianConditional(None)
    model.update_scale_table(get_scale_table())
    return model


@pytest.fixture(scope="module")
def tables(gaussian: GaussianConditional) -> Tables:
    return read_tables(gaussian)


def draw(gaussian: GaussianConditional, count: int, seed: int = 0) -> tuple[Integers, Integers]:
    """Symbols as the tables expect them, and their tables."""
    generator = np.random.default_rng(seed)
    indexes = generator.integers(0, 64, count).astype(np.int32)
    symbols = generator.standard_normal(count) * gaussian.scale_table.numpy()[indexes]
    return symbols.round().astype(np.int32), indexes


def test_symbols_come_back_call_by_call(gaussian: GaussianConditional, tables: Tables) -> None:
    calls = [draw(gaussian, count, seed) for seed, count in enumerate([1000, 1, 0, 3, 20_000])]
    calls[0][0][:8] = [10**6, -(10**6), 2**29, -(2**29), 5000, -5000, 0, 1]  # beyond every table
    encoder = SymbolEncoder()
    for symbols, indexes in calls:
        encoder.encode(symbols, indexes, tables)
    decoder = SymbolDecoder(encoder.finish())
    for symbols, indexes in calls:
        assert np.array_equal(decoder.decode(indexes, tables), symbols)
    assert decoder.digest == encoder.digest


def test_table_edges(tables: Tables) -> None:
    """The first and last value of every table, and those just outside of it."""
    indexes = np.repeat(np.arange(64, dtype=np.int32), 4)
    low, high = tables.offsets, tables.offsets + tables.escapes - 1
    symbols = np.stack([low - 1, low, high, high + 1], 1).ravel().astype(np.int32)
    encoder = SymbolEncoder()
    encoder.encode(symbols, indexes, tables)
    assert np.array_equal(SymbolDecoder(encoder.finish()).decode(indexes, tables), symbols)


def test_strings_are_no_longer_than_compressais(gaussian: GaussianConditional, tables: Tables) -> None:
    for count in (50, 1000, 30_000):
        symbols, indexes = draw(gaussian, count)
        encoder = SymbolEncoder()
        encoder.encode(symbols, indexes, tables)
        as_float = torch.from_numpy(symbols).float().view(1, 1, -1)
        (theirs,) = gaussian.compress(as_float, torch.from_numpy(indexes).view(1, 1, -1))
        assert len(encoder.finish()) <= len(theirs)


def test_rate_is_the_distributions_entropy(gaussian: GaussianConditional, tables: Tables) -> None:
    symbols, indexes = draw(gaussian, 50_000)
    scales = gaussian.scale_table[torch.from_numpy(indexes)]
    bits = -gaussian._likelihood(torch.from_numpy(symbols).float(), scales).log2().sum().item()
    encoder = SymbolEncoder()
    encoder.encode(symbols, indexes, tables)
    assert 8 * len(encoder.finish()) == pytest.approx(bits, rel=5e-3)  # CDFs of 16 bits


def test_digest_tells_symbols_apart(gaussian: GaussianConditional, tables: Tables) -> None:
    symbols, indexes = draw(gaussian, 100)
    digests = set()
    for change in range(100):
        encoder = SymbolEncoder()
        encoder.encode(symbols + (np.arange(100) == change).astype(np.int32), indexes, tables)
        digests.add(encoder.digest)
    assert len(digests) == 100


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 8, 64, 1000])
def test_any_bytes_decode_to_something_or_are_refused(
    length: int, gaussian: GaussianConditional, tables: Tables
) -> None:
    generator = np.random.default_rng(length)
    _, indexes = draw(gaussian, 3000)
    for fill in (bytes(length), b"\xff" * length, *(generator.bytes(length) for _ in range(50))):
        try:
            symbols = SymbolDecoder(fill).decode(indexes, tables)
        except ValueError as error:
            assert str(error) in ("its symbols cannot be decoded", "it is too short for an image of its size")
        else:
            assert symbols.shape == (3000,)


@pytest.mark.parametrize("count", [1, 2, 2**24, 2**24 + 1, 96 * 800 * 500, 2**31 - 1])
def test_sides_of_any_number_of_latents(count: int) -> None:
    """A photograph of 45 megapixels has more than constriction's uniform distribution has values."""
    positions = np.unique(np.array([0, count // 3, count - 1], np.int32))
    bits = np.ones(len(positions), np.int32)
    encoder = SymbolEncoder()
    encoder.encode_sides(positions, bits, count)
    found = SymbolDecoder(encoder.finish()).decode_sides(count)
    assert np.array_equal(found[0], positions) and np.array_equal(found[1], bits)


@pytest.mark.parametrize("positions", [[], [0], [4095], [5, 6, 7, 4000]])
def test_sides_come_back_between_symbols(
    positions: list[int], gaussian: GaussianConditional, tables: Tables
) -> None:
    symbols, indexes = draw(gaussian, 4096)
    where, bits = np.array(positions, np.int32), np.arange(len(positions), dtype=np.int32) % 2
    encoder = SymbolEncoder()
    for _ in range(2):
        encoder.encode_sides(where, bits, 4096)
        encoder.encode(symbols, indexes, tables)
    decoder = SymbolDecoder(encoder.finish())
    for _ in range(2):
        decoded = decoder.decode_sides(4096)
        assert np.array_equal(decoded[0], where) and np.array_equal(decoded[1], bits)
        assert np.array_equal(decoder.decode(indexes, tables), symbols)
