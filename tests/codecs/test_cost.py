"""What a codec costs, held against a count by hand, and against what the process grows by."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compressai.models import FactorizedPrior
from torch import Tensor

from lic.codecs import Codec, build_codec
from lic.codecs.cost import cost_of
from lic.codecs.memory import HEIGHT, WIDTH, peak_of


def test_the_transforms_of_the_factorized_prior() -> None:
    """Four 5 x 5 convolutions a side at strides 2 to 16, N = 8, M = 12, and a GDN's N x N between them."""
    n, m = 8, 12
    convolutions = 25 * (3 * n / 4 + n * n / 16 + n * n / 64 + n * m / 256)
    gdn = n * n * (1 / 4 + 1 / 16 + 1 / 64)
    found = cost_of(build_codec("bmshj2018-factorized", n, m).eval())
    assert abs(found.encode_kmac - (convolutions + gdn) / 1000) < 0.1 * found.encode_kmac
    assert found.num_parameters == sum(p.numel() for p in build_codec("bmshj2018-factorized", n, m).parameters())
    assert cost_of(build_codec("mlicpp", 16, 32).eval()).decode_kmac > found.decode_kmac


def test_peak_memory_is_that_of_the_largest_layers() -> None:
    """N channels at half the size are in the first convolution's output and in the last one's input, and beside them
    GDN's result, or a copy in another layout, and the image; weights are next to nothing."""
    n = 32
    found = peak_of(build_codec("bmshj2018-factorized", n, 48).eval())
    assert found is not None and peak_of(build_codec("bmshj2018-factorized", n, 48).eval()) == found
    image, layer = (4 * channels * HEIGHT * WIDTH for channels in (3, n / 4))
    for peak in found:
        assert layer + image < peak < 3 * layer + 2 * image
    wider = build_codec("bmshj2018-factorized", 2 * n, 48).eval()
    assert layer < peak_of(wider).encode_bytes - found.encode_bytes < 3 * layer  # type: ignore[union-attr]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux says how large a process was at most")
def test_peak_memory_is_what_the_process_grows_by() -> None:
    code = """
import torch
from lic.codecs import build_codec
from lic.codecs.memory import peak_of

def resident(name):
    (line,) = [line for line in open("/proc/self/status") if line.startswith(name)]
    return 1024 * int(line.split()[1])

codec = build_codec("mbt2018-mean", 64, 96).eval()
codec.compress(torch.zeros(1, 3, 64, 64))
before = resident("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # VmHWM, the highest, starts anew
codec.compress(torch.zeros(1, 3, 512, 768))
grown = resident("VmHWM") - before
weights = sum(tensor.nbytes for tensor in (*codec.parameters(), *codec.buffers()))
print(grown, peak_of(codec).encode_bytes - weights)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr, "the profiler is quiet"
    grown, counted = map(int, done.stdout.split())
    assert counted == pytest.approx(grown, rel=0.2)


class LayerByLayer(FactorizedPrior):  # type: ignore[misc]  # CompressAI has no types
    """A network that applies g_s as some of CompressAI's newer classes do."""

    def forward(self, x: Tensor) -> dict[str, Any]:
        x_hat, likelihoods = self.entropy_bottleneck(self.g_a(x))
        for layer in self.g_s:
            x_hat = layer(x_hat)
        return {"x_hat": x_hat, "likelihoods": {"y": likelihoods}}


def test_what_cannot_be_told_apart() -> None:
    assert math.isnan(cost_of(Codec(LayerByLayer(8, 12)).eval()).encode_kmac)
