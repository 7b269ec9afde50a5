"""Where networks run, and in which arithmetic: what the processor does fastest, and why is said."""

import os
import subprocess
import sys

import pytest
import torch

from lic import device
from lic.device import pick_precision

CPU = torch.device("cpu")
HAS_KERNELS = torch.ops.mkldnn._is_mkldnn_bf16_supported()


@pytest.mark.parametrize(("ratio", "name"), [(0.4, "bf16-mixed"), (0.9, "32-true"), (6.0, "32-true")])
def test_auto_takes_bf16_only_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, ratio: float, name: str
) -> None:
    monkeypatch.setattr(device, "_bf16_time", lambda: ratio)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    picked = pick_precision("auto", CPU)
    assert picked == (name, f"a convolution in bf16 takes {ratio:.1f} of its time in fp32 on this CPU")
    assert picked.is_bf16 == (name == "bf16-mixed")
    assert pick_precision("32-true", CPU).name == "32-true"


@pytest.mark.parametrize("isa", ["AVX2", "SSE41"])
def test_without_kernels_auto_is_fp32_and_bf16_is_told_off(isa: str) -> None:
    program = ("import torch; from lic.device import pick_precision as pick; cpu = torch.device('cpu'); "
               "print(pick('auto', cpu)); print(pick('bf16-mixed', cpu)); print(pick('32-true', cpu))")  # fmt: skip
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": isa}
    lines = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment).splitlines()
    assert lines == [
        "precision 32-true: this CPU has no kernels for bf16",
        "precision bf16-mixed: as asked, not 32-true: this CPU has no kernels for bf16",
        "precision 32-true: as asked",
    ]


@pytest.mark.skipif(not HAS_KERNELS, reason="this CPU has no kernels for bf16")
def test_what_is_timed_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    device._bf16_time.cache_clear()
    assert 0.01 < device._bf16_time() < 100
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
