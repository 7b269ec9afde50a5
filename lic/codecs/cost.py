"""What a codec costs: parameters, multiply-accumulates per pixel, and memory."""

import math
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from lic.codecs.codec import Codec
from lic.codecs.memory import Peak, peak_of

SIDE_PX = 256


class Cost(NamedTuple):
    """Parameters, thousands of multiply-accumulates per pixel of convolutions and matrix products, one way, and memory.

    The encoder also runs what the decoder's entropy model needs; neither counts the range coder. Not a number, where a
    codec does not call CompressAI's `g_a` and `g_s` as a whole: some of its newer classes.
    """

    num_parameters: int
    encode_kmac: float
    decode_kmac: float
    peak: Peak | None
    """None on other devices than CPU and GPU."""


def cost_of(codec: Codec) -> Cost:
    """Return the cost of a codec, from a forward pass over 256 x 256 px."""
    network = codec.network
    counter = FlopCounterMode(display=False)
    image = torch.zeros(1, 3, SIDE_PX, SIDE_PX, device=codec.device)
    with torch.no_grad(), counter:
        codec(image, max(codec.grid, default=None))
    by_module = {name: sum(flops.values()) for name, flops in counter.get_flop_counts().items()}
    total = by_module["Global"]

    def of(part: str, otherwise: float = math.nan) -> float:
        return next((flops for name, flops in by_module.items() if name.endswith(f".{part}")), otherwise)

    per_pixel = 2 * 1000 * SIDE_PX**2  # a multiply-accumulate is two operations
    return Cost(
        sum(each.numel() for each in network.parameters()),
        (total - of("g_s")) / per_pixel,
        (total - of("g_a") - of("h_a", 0)) / per_pixel,
        peak_of(codec),
    )
