"""A stream written once decodes ever after: symbols exactly, pixels to within 1/255.

Weights and CDF tables follow from formulas in exact or nearly exact arithmetic, not from torch's random numbers.
Whoever changes the format on purpose raises its version and runs `PYTHONPATH=. python tests/bitstream/test_golden.py`.
"""

import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from lic.bitstream import decode, encode
from lic.codecs import Header, LoadedCodec, build_codec
from tests.bitstream.golden import PIXELS, STREAM


def formula_weights(name: str, tensor: torch.Tensor, number: int) -> torch.Tensor:
    """Return cosines, small enough that signals neither die nor grow; what must be positive is."""
    wave = torch.cos(torch.arange(tensor.numel(), dtype=torch.float64) * (0.37 + 0.01 * number) + number)
    if name.endswith(("beta", "gamma")):
        return (1 + wave.view(tensor.shape) * 0.25) * (1.0 if tensor.ndim == 1 else 0.05)
    if name == "network.g_s.6.bias":
        return torch.full(tensor.shape, 0.5)
    gain = {"g_a.6": 60.0, "h_a.4": 60.0, "g_s.6": 0.4}.get(name.split(".", 1)[1].removesuffix(".weight"), 1.5)
    return wave.view(tensor.shape) * gain / max(tensor[0].numel(), 1) ** 0.5


def formula_tables(num_tables: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return CDFs, lengths and offsets: table t is triangular over -(t + 1) .. t + 1, in whole 65,536ths."""
    rows = []
    for half in range(1, num_tables + 1):
        weights = np.append(half + 1 - np.abs(np.arange(-half, half + 1)), 1)  # the last entry is the escape
        counts = weights * (65_536 // weights.sum())
        counts[half] += 65_536 - counts.sum()
        rows.append(np.append(0, np.cumsum(counts)))
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int32)
    cdfs = torch.zeros(num_tables, int(lengths.max()), dtype=torch.int32)
    for cdf, row in zip(cdfs, rows, strict=True):
        cdf[: len(row)] = torch.from_numpy(row)
    return cdfs, lengths, -torch.arange(1, num_tables + 1, dtype=torch.int32)


def formula_codec() -> LoadedCodec:
    codec = build_codec("mbt2018-mean", 8, 8).eval()
    codec.build_tables()  # buffers of the right number of tables
    state = codec.state_dict()
    for number, (name, weight) in enumerate(codec.named_parameters()):
        if not name.endswith("quantiles"):
            state[name] = formula_weights(name, weight, number).float()
    for model in ("network.entropy_bottleneck.", "network.gaussian_conditional."):
        cdfs, lengths, offsets = formula_tables(len(state[f"{model}_offset"]))
        state |= {f"{model}_quantized_cdf": cdfs, f"{model}_cdf_length": lengths, f"{model}_offset": offsets}
    codec.load_state_dict(state)
    widths = {"num_channels": 8, "num_latent_channels": 8}
    return LoadedCodec(codec, Header("mbt2018-mean", widths, [0.01], "mse", "formula", 0, {}), "c0ffee00" * 8)


@pytest.fixture(scope="module")
def codec() -> LoadedCodec:
    return formula_codec()


def picture() -> torch.Tensor:
    """Return (1, 3, 48, 64): waves."""
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    waves = [torch.cos(rows * 0.1 * (k + 1) + columns * 0.07 * k) for k in range(3)]
    return torch.stack(waves)[None] * 0.5 + 0.5


def sample(decoded: torch.Tensor) -> torch.Tensor:
    """Return every seventh pixel of every seventh row, channel after channel, in 0 .. 255."""
    return decoded[0, :, ::7, ::7].flatten() * 255


def test_golden_stream(codec: LoadedCodec) -> None:
    decoded = decode(bytes.fromhex(STREAM), codec)  # the check value compares every symbol
    assert decoded.shape == (1, 3, 48, 64) and decoded.std() > 0.1
    torch.testing.assert_close(sample(decoded), torch.tensor(PIXELS).float(), atol=1, rtol=0)


def test_todays_stream(codec: LoadedCodec) -> None:
    stream = encode(picture(), codec)
    torch.testing.assert_close(decode(stream, codec), decode(bytes.fromhex(STREAM), codec), atol=0.1, rtol=0)


def write_golden() -> None:
    codec = formula_codec()
    stream = encode(picture(), codec)
    pixels = ", ".join(f"{value:.0f}" for value in sample(decode(stream, codec)).tolist()) + ","
    lines = ['"""What test_golden.py decodes, and what it gives."""', "", "STREAM = ("]
    lines += [f'    "{line}"' for line in textwrap.wrap(stream.hex(), 100)]
    lines += [")", "PIXELS = [", *(f"    {line}" for line in textwrap.wrap(pixels, 110)), "]  # fmt: skip"]
    Path(__file__).with_name("golden.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_golden()
