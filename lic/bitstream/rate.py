"""Which lmbda of a variable-rate codec gives a rate: of one image, or on average of many at one lmbda."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from lic.bitstream.container import encode
from lic.bitstream.jobs import Task, attempt
from lic.codecs import LoadedCodec
from lic.processes import Workers, workers
from lic.settings import require

NEAR_ENOUGH = 0.01
"""Share by which a rate may miss the one that is asked for, before another lmbda is tried."""
MOST_TRIES = 12
MOST_OFF = 0.05
"""Share by which it may miss it in the end: small images have few sizes to choose from."""
SMALLEST_STEP = 0.1
"""Share of the range in question that a try cuts off at least."""


def encode_at_rate(image: Tensor, loaded: LoadedCodec, bpp: float) -> bytes:
    """Return the stream of an image that comes nearest to a rate.

    Args:
        image: (1, 3, H, W), RGB in [0, 1].
        loaded: a variable-rate codec.
        bpp: bits per pixel, headers included.

    Raises:
        ValueError: the codec has one rate, or does not reach this one within 5 %.
    """
    streams: dict[float, bytes] = {}

    def rate_at(lmbda: float) -> float:
        streams[lmbda] = encode(image, loaded, lmbda)
        return 8 * len(streams[lmbda]) / image[0, 0].numel()

    return streams[lmbda_for(loaded, bpp, rate_at)]


def lmbda_for_mean(
    loaded: LoadedCodec, bpp: float, task_at: Callable[[float], Task], paths: Sequence[Path], jobs: int
) -> float:
    """Return the one lmbda at which the images' mean rate comes nearest to a rate; a line is printed for each try.

    Args:
        loaded: a variable-rate codec.
        bpp: bits per pixel, headers included; the mean counts each image once, whatever its size.
        task_at: what codes at an lmbda.
        paths: of the images; those that cannot be coded do not count.
        jobs: how many processes at a time.

    Raises:
        ValueError: as `encode_at_rate`, or no image can be coded.
    """

    def rate_at(outcomes: Workers, lmbda: float) -> float:
        coded = list(outcomes(partial(attempt, task_at(lmbda)), paths))
        rates = [8 * each.num_bytes / each.num_pixels for each in coded if not isinstance(each, str)]
        require(len(rates) > 0, f"none of {len(paths)} images can be coded: {coded[0]}")
        mean = sum(rates) / len(rates)
        print(f"lmbda {lmbda:.4g}: {mean:.4f} bpp, mean of {len(rates)} images", flush=True)
        return mean

    with workers(min(jobs, len(paths))) as outcomes:
        return lmbda_for(loaded, bpp, partial(rate_at, outcomes))


def lmbda_for(loaded: LoadedCodec, bpp: float, rate_at: Callable[[float], float]) -> float:
    """Return the lmbda whose rate comes nearest to the one asked for, by narrowing the codec's range.

    The ends come first, which tells at once what is out of reach. Then the rate is looked for on the straight line
    between the ends of what is left, log rate over log lmbda.

    Raises:
        ValueError: the codec has one rate, or does not reach this one within 5 %.
    """
    require(bool(loaded.codec.grid), f"{loaded.header.codec} has one rate; --bpp wants a variable-rate codec (-vbr)")
    low, high = min(loaded.codec.grid), max(loaded.codec.grid)
    rates = {low: rate_at(low), high: rate_at(high)}

    def share_off(lmbda: float) -> float:
        return rates[lmbda] / bpp - 1

    while rates[low] < bpp < rates[high] and min(map(abs, map(share_off, rates))) > NEAR_ENOUGH:
        if len(rates) == MOST_TRIES:
            break
        share = math.log(bpp / rates[low]) / math.log(rates[high] / rates[low])
        share = min(max(share, SMALLEST_STEP), 1 - SMALLEST_STEP)
        lmbda = low ** (1 - share) * high**share
        rates[lmbda] = rate_at(lmbda)
        low, high = (lmbda, high) if rates[lmbda] < bpp else (low, lmbda)
    nearest = min(rates, key=lambda lmbda: abs(share_off(lmbda)))
    require(abs(share_off(nearest)) <= MOST_OFF, f"{bpp:g} bpp are out of reach; nearest are {rates[nearest]:.3f}")
    return nearest
