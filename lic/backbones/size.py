"""How large a network's weights are, for messages about weights that are not there."""

from collections.abc import Callable

import torch
from torch import nn


def size_of(build: Callable[[], nn.Module]) -> str:
    """Return the size of a network's weights in float32, such as `408 MB`; `size unknown` where it resists.

    Args:
        build: returns the network; it is built on the device without memory, so that nothing is allocated.
    """
    try:
        with torch.device("meta"):
            network = build()
    except (RuntimeError, NotImplementedError):  # a builder that looks at its values
        return "size unknown"
    return f"{sum(weight.numel() for weight in network.parameters()) * 4 / 1e6:.0f} MB"
