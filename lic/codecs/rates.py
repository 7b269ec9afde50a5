"""What lmbda a variable-rate codec codes at: a grid's middle, rates spaced over it, the nearest of them."""

import math
from collections.abc import Sequence

import numpy as np


def middle(lmbda: Sequence[float]) -> float:
    """Return a grid's geometric mean: where a variable-rate codec's gain is 1 and its first stage trains."""
    return math.exp(sum(map(math.log, lmbda)) / len(lmbda))


def spread(grid: Sequence[float], count: int) -> tuple[float, ...]:
    """Return so many lmbdas at equal ratios from a grid's lowest to its highest; its only one if it has no more."""
    lowest, highest = min(grid, default=0), max(grid, default=0)
    if lowest == highest or count == 0:
        return tuple(grid[:count])
    return tuple(map(float, np.geomspace(lowest, highest, count)))


def nearest(rates: Sequence[float], lmbda: float) -> int:
    """Return which of some rates is nearest to an lmbda, by their ratio."""
    return int(np.argmin(np.abs(np.log(rates) - math.log(lmbda))))
