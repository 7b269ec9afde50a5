"""Streams from someone who means harm: each gives the picture that was coded or a BitstreamError, and nothing else."""

import random
import tracemalloc
from collections import Counter
from typing import get_args

import numpy as np
import pytest
import torch
import xxhash
from torch import Tensor

from lic.bitstream import BitstreamError, decode, encode, read_stream_header
from lic.codecs import LoadedCodec, load_codec
from lic.codecs.checkpoint import shipped_codecs
from lic.settings.names import CodecName
from tests.support import noise_image

from .conftest import MakeCodec

MUTATED: dict[CodecName, tuple[int, int]] = {
    "bmshj2018-hyperprior": (7000, 1600),
    "mbt2018-mean-vbr": (7000, 1600),
    "elic2022-official": (7000, 400),
}
"""codec: how many mutations, and how many of them get a right checksum again and so reach the range decoder"""
MAX_PIXELS = 2**14
FIELDS = [(3, 1), (4, 1), (5, 1), (6, 4), (10, 2), (12, 2), (14, 2), (16, 4)]
EXTREMES = [b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\x00\x7c", b"\x00\xfc", b"\x01\x00", b"\x00\x7e"]
"""Bytes repeated to a field's size; as float16 the last are inf, -inf, the smallest number, NaN."""


@pytest.fixture(autouse=True)
def one_thread() -> object:
    own = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(own)


def with_checksum(content: bytes) -> bytes:
    return content + xxhash.xxh32_intdigest(content).to_bytes(4, "little")


def outcome(stream: bytes, codec: LoadedCodec, original: Tensor) -> str:
    """Return why a stream is refused, or 'same' if it gives the original picture; anything else fails the test."""
    try:
        decoded = decode(stream, codec, MAX_PIXELS)
    except BitstreamError as error:
        assert "\n" not in str(error) and str(error)
        return str(error)
    assert torch.equal(decoded, original), "a mutated stream decodes to another picture"
    return "same"


Damage = list[tuple[int, int, bytes]]
"""One to three kinds of damage: which, where, with what bytes."""


def damages(count: int) -> list[Damage]:
    """Return as many kinds of damage, always the same."""
    draw = random.Random(0)

    def one() -> tuple[int, int, bytes]:
        return draw.randrange(7), draw.randrange(2**16), draw.randbytes(draw.randint(1, 8))

    return [[one() for _ in range(draw.randint(1, 3))] for _ in range(count)]


def mutate(stream: bytes, other: bytes, damage: Damage) -> bytes:
    """Return a damaged stream; other: one to take pieces of."""
    content = bytearray(stream)
    for kind, place, extra in damage:
        at = place % (len(content) + 1)
        match kind:
            case 0:
                for i, byte in enumerate(extra, at):
                    content[i : i + 1] = bytes(each ^ byte for each in content[i : i + 1])
            case 1:
                content[at : at + len(extra)] = extra
            case 2:
                del content[at:]
            case 3:
                content[at:at] = extra
            case 4:
                del content[at : at + len(extra)]
            case 5:
                content[max(at, 17) :] = other[max(at, 17) :]  # from 16 on it would be the other picture's stream
            case _:
                start, size = FIELDS[place % len(FIELDS)]
                content[start : start + size] = (EXTREMES[extra[0] % len(EXTREMES)] * size)[:size]
    return bytes(content)


@pytest.mark.parametrize("name", MUTATED)
def test_mutations(name: CodecName, make_codec: MakeCodec) -> None:
    codec = make_codec(name)
    image = noise_image(0, 64, 64)
    stream, other = (encode(each, codec) for each in (image, noise_image(1, 64, 64)))
    original = decode(stream, codec)
    num_mutations, num_repaired = MUTATED[name]
    outcomes: Counter[str] = Counter()
    for i, damage in enumerate(damages(num_mutations)):
        if i < num_repaired:
            mutated = with_checksum(mutate(stream[:-4], other[:-4], damage))
        else:
            mutated = mutate(stream, other, damage)
        outcomes[outcome(mutated, codec, original)[:40]] += 1
    assert outcomes["the stream cannot be decoded: its symbol"] > num_repaired / 4, "few reach the range decoder"


def test_mutations_count() -> None:
    assert sum(count for count, _ in MUTATED.values()) >= 20_000 and set(MUTATED) <= set(get_args(CodecName))


@pytest.mark.parametrize("name", MUTATED)
@pytest.mark.parametrize(("start", "size"), FIELDS)
def test_extreme_fields(name: CodecName, start: int, size: int, make_codec: MakeCodec) -> None:
    codec = make_codec(name)
    stream = encode(noise_image(0, 64, 64), codec)
    for extreme in EXTREMES:
        content = bytearray(stream[:-4])
        content[start : start + size] = (extreme * size)[:size]
        if content != stream[:-4]:
            assert outcome(with_checksum(bytes(content)), codec, torch.empty(0)) != "same"


def test_other_settings_for_the_same_symbols(make_codec: MakeCodec) -> None:
    """A size of as many latents, or another lmbda, would show right symbols as another picture."""
    codec = make_codec("mbt2018-mean-vbr")
    stream = encode(noise_image(0, 64, 64), codec, 0.013)
    for start, value in ((12, (63).to_bytes(2, "little")), (10, np.float16(0.02).tobytes())):
        forged = with_checksum(stream[:start] + value + stream[start + 2 : -4])
        with pytest.raises(BitstreamError, match="the stream cannot be decoded: its symbols"):
            decode(forged, codec)


def test_every_truncation_and_every_flipped_bit(make_codec: MakeCodec) -> None:
    codec = make_codec("bmshj2018-hyperprior")
    stream = encode(noise_image(0, 64, 64), codec)
    for length in range(len(stream)):
        assert outcome(stream[:length], codec, torch.empty(0)) != "same"
    for bit in range(8 * len(stream)):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        assert outcome(bytes(flipped), codec, torch.empty(0)) != "same"


def test_random_bytes(make_codec: MakeCodec) -> None:
    codec, rng = make_codec("bmshj2018-hyperprior"), np.random.default_rng(0)
    for length in range(300):
        assert outcome(rng.bytes(length), codec, torch.empty(0)) != "same"
        assert outcome(b"LIC\x02" + rng.bytes(length), codec, torch.empty(0)) != "same"


def test_gigabyte_headers_allocate_nothing(make_codec: MakeCodec) -> None:
    codec = make_codec("bmshj2018-hyperprior")
    stream = encode(noise_image(0, 64, 64), codec)
    forged = with_checksum(stream[:12] + b"\xff" * 4 + stream[16:-4])
    tracemalloc.start()
    with pytest.raises(BitstreamError, match=r"stream of 65535 x 65535 px, more than the 67108864 allowed"):
        decode(forged, codec)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    assert read_stream_header(forged, max_pixels=2**32).width == 65_535


def test_too_little_memory_is_one_line(make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = make_codec("bmshj2018-hyperprior")
    stream = encode(noise_image(0, 64, 64), codec)

    def fail(*_: object) -> Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory\nframes\n")

    monkeypatch.setattr(codec.codec, "decompress", fail)
    with pytest.raises(BitstreamError, match="can't allocate memory") as error:
        decode(stream, codec)
    assert "\n" not in str(error.value)


def test_a_huge_image_in_a_few_bytes_is_refused_before_the_work(make_codec: MakeCodec) -> None:
    """65535 x 1024 px are allowed; that so many symbols take more than no bytes is found out before any transform."""
    codec = load_codec(shipped_codecs()[0])
    stream = encode(noise_image(0, 64, 64), codec)
    forged = with_checksum(stream[:12] + (1024).to_bytes(2, "little") + (65535).to_bytes(2, "little") + stream[16:20])
    assert len(forged) == 24
    decode(stream, codec)  # asks the network for the sizes of its latents, once
    calls: list[str] = []
    for name in ("h_s", "g_s"):
        getattr(codec.codec.network, name).register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    with pytest.raises(BitstreamError, match="too short for an image of its size"):
        decode(forged, codec)
    assert not calls
