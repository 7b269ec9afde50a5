"""How much memory a codec takes at the peak, to encode and to decode one image."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from lic.codecs.codec import Codec

HEIGHT, WIDTH = 512, 768
"""Of the image, in px: those of Kodak's photographs."""


class Peak(NamedTuple):
    """The most bytes that tensors take at a time, the codec's weights and tables among them.

    On a CPU it is what torch's allocator gives out, counted by its profiler: the same from run to run, and within 5 %
    of what the process grows by, where that was measured. On a GPU it is `torch.cuda.max_memory_allocated`. Neither
    counts Python, the libraries, and the range coder's symbols in NumPy.
    """

    encode_bytes: int
    decode_bytes: int


def peak_of(codec: Codec) -> Peak | None:
    """Return the peak of a codec where it is, on an image of 768 x 512 px; None on other devices than CPU and GPU."""
    if codec.device.type not in ("cpu", "cuda"):
        return None
    point = max(codec.grid, default=None)
    once = codec.compress(torch.zeros(1, 3, codec.stride, codec.stride, device=codec.device), point)
    codec.decompress(once, codec.stride, codec.stride, point)  # builds tables and lays weights out, once and for all
    own = sum(tensor.nbytes for tensor in (*codec.parameters(), *codec.buffers()))
    image = torch.zeros(1, 3, HEIGHT, WIDTH, device=codec.device)
    coded, encode_bytes = _growth(codec, lambda: codec.compress(image, point))
    _, decode_bytes = _growth(codec, lambda: codec.decompress(coded, HEIGHT, WIDTH, point))
    return Peak(own + encode_bytes, own + decode_bytes)


def _growth(codec: Codec, code: Callable[[], Any]) -> tuple[Any, int]:
    """Return what a function returns, and by how many bytes its tensors exceed those of before at the most."""
    if codec.device.type == "cuda":
        before = torch.cuda.memory_allocated(codec.device)
        torch.cuda.reset_peak_memory_stats(codec.device)
        return code(), torch.cuda.max_memory_allocated(codec.device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler says on stderr that it starts and stops
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = code()
    events = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return result, most
