"""A fixed part of a set."""

import hashlib
from collections.abc import Sequence


def subset(names: Sequence[str], limit: int | None) -> list[int]:
    """Return the positions, in order, of the names with the smallest SHA-256; of all without a limit.

    Args:
        names: file names.
        limit: how many.
    """
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())
    return sorted(order[:limit])
