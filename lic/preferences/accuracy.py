"""How often a metric prefers what voters prefer, pair by pair.

Every function returns the credit of each pair, (n,), in [0, 1], so that a mean over any of them is an accuracy.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def soft_credits(first: Array, second: Array, preference: Array) -> Array:
    """Return the share of voters on the metric's side: the two-alternative forced choice score (2AFC) of each pair.

    mean((d0 < d1) (1 - j) + (d1 < d0) j + (d0 == d1) / 2) of Zhang et al. 2018 (LPIPS) with d0 = -first, d1 = -second
    and j = 1 - preference.

    Args:
        first, second: the metric's values, (n,), higher is better.
        preference: share of voters that prefer the first, (n,).
    """
    return np.where(first > second, preference, np.where(first < second, 1 - preference, 0.5))


def hard_credits(first: Array, second: Array, preference: Array) -> Array:
    """Return 1 where the metric sides with the majority, 0 where not, 1/2 where it gives both the same value.

    NaN where the voters are divided equally: such a pair has no majority and is left out.

    Args:
        first, second, preference: as for `soft_credits`.
    """
    credit = soft_credits(first, second, (preference > 0.5).astype(np.float64))
    return np.where(preference == 0.5, np.nan, credit)


def soft_bound(preference: Array) -> Array:
    """Return the most that soft credits can be: who always sides with the majority gets its share."""
    return np.maximum(preference, 1 - preference)
