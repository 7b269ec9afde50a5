"""Where networks run, and in which arithmetic they are trained."""

import os
from functools import cache
from time import perf_counter
from typing import NamedTuple

import torch
import torch.nn.functional as F

from lic.settings.names import PrecisionName

CLEARLY_FASTER = 0.75
"""Of fp32's time: what bf16 must stay below on a CPU to be worth its rounding."""


class Precision(NamedTuple):
    """An arithmetic in Lightning's words, never `auto`, and why it was taken."""

    name: PrecisionName
    reason: str

    def __str__(self) -> str:
        return f"precision {self.name}: {self.reason}"

    @property
    def is_bf16(self) -> bool:
        """Whether networks run under bf16 autocast."""
        return self.name == "bf16-mixed"


def pick_device(name: str) -> torch.device:
    """Return a torch device; `auto` is the GPU where there is one, each of `torchrun`'s processes its own."""
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{name}' is not to be had on this machine: {str(error).splitlines()[0]}") from error


def pick_precision(asked: PrecisionName, device: torch.device) -> Precision:
    """Return the arithmetic to train in on a device; for `auto`, bf16 where it has kernels that are faster.

    That a CPU can do bf16 says little: without AVX-512-bf16 oneDNN emulates it at a third of fp32's speed, without
    AVX-512 torch falls back to a tenth, and with it some processors are no faster. `auto` therefore times a
    convolution in both. fp16 is never taken: likelihoods underflow.
    """
    if asked != "auto":
        best = pick_precision("auto", device)
        return Precision(asked, "as asked" if best.name == asked else f"as asked, not {best.name}: {best.reason}")
    if device.type == "cuda":
        is_there = torch.cuda.is_bf16_supported(including_emulation=False)
        return Precision("bf16-mixed", "the GPU has it") if is_there else Precision("32-true", "the GPU has no bf16")
    if device.type != "cpu" or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return Precision("32-true", f"this {device.type.upper()} has no kernels for bf16")
    ratio = _bf16_time()
    name: PrecisionName = "bf16-mixed" if ratio < CLEARLY_FASTER else "32-true"
    return Precision(name, f"a convolution in bf16 takes {ratio:.1f} of its time in fp32 on this CPU")


@cache
def _bf16_time() -> float:
    """Return the time of a codec's convolution and its gradients in bf16 autocast, in those of fp32, on the CPU."""
    image, kernel = (torch.ones(shape).to(memory_format=torch.channels_last).requires_grad_()
                     for shape in ((4, 64, 32, 32), (64, 64, 5, 5)))  # fmt: skip  # no random numbers are drawn
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for is_bf16 in 6 * (False, True):
        start = perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            F.conv2d(image, kernel, stride=2, padding=2).sum().backward()
        seconds[is_bf16].append(perf_counter() - start)
    return min(seconds[True]) / min(seconds[False])
