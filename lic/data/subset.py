"""A fixed part of a set, the same for everybody: what `--limit` takes."""

import hashlib
import os
from collections.abc import Sequence


def subset(names: Sequence[str], limit: int | None) -> list[int]:
    """Return the positions, in order, of the names with the smallest SHA-256; all without a limit.

    Sets come sorted by class or by date; their first images are no sample of them. A smaller limit's part lies in a
    larger one's.

    Args:
        names: file names, with their folders where names repeat.
        limit: how many.
    """
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(os.fsencode(names[i])).digest())
    return sorted(order[:limit])
