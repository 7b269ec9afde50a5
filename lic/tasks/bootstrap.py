"""95 % bootstrap intervals of scores over a task's images.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: as many images as there are, are drawn with
replacement, 200 times, and the percentile interval of the score over these sets is its uncertainty from the choice of
images. The draws are the same for every codec and network (seed 0), so that curves on the same images differ by what
the codecs do, not by the draw. A set is held as weights: how often each image was drawn.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_REPLICATES = 200
PERCENTILES = (2.5, 97.5)


def draw_weights(num_images: int) -> NDArray[np.int64]:
    """Return how often each image is drawn, (replicates, images); rows sum to the number of images."""
    return np.random.default_rng(0).multinomial(num_images, np.full(num_images, 1 / num_images), NUM_REPLICATES)


def interval(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Return the ends of a score's interval as `name_low` and `name_high`, and the values as `name_replicates`.

    Args:
        name: the score's.
        values: (replicates,); NaN where the drawn images hold nothing to score, which is left out.
    """
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, PERCENTILES) if len(known) else (np.nan, np.nan)
    replicates = [round(float(value), 5) for value in values]
    return {f"{name}_low": float(low), f"{name}_high": float(high), f"{name}_replicates": replicates}


def mean_interval(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Return the interval of a mean over images, as `interval` does.

    Args:
        name: the score's.
        values: (images,).
    """
    return interval(name, draw_weights(len(values)) @ values / len(values))
