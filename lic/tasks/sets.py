"""What the sets of several tasks have in common."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from lic.images import image_size
from lic.settings import require

_Item = TypeVar("_Item")


def take(items: Sequence[_Item], positions: Sequence[int]) -> list[_Item]:
    """Return the items at some positions."""
    return [items[i] for i in positions]


def check_sizes(pairs: Iterable[tuple[Path, tuple[int, int]]]) -> None:
    """Raise ValueError unless each image has the (height, width) that it was annotated at."""
    for path, (height, width) in pairs:
        size = image_size(path)
        require(size == (height, width), f"{path} is {size[1]} x {size[0]}, but annotated as {width} x {height}")
