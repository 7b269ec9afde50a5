"""What training crops are cut from: images by number, from files in folders or from shards of them."""

import os
from array import array
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from lic.images import Pixels, read_pixels


class Source(Protocol):
    """Images by number.

    Attributes:
        groups: how many images lie together, in their order: all files of folders, the members of each shard.
    """

    groups: list[int]

    def __len__(self) -> int: ...

    def read(self, index: int) -> Pixels:
        """Return an image; `UnreadableImage` if it cannot be decoded."""
        ...

    def name(self, index: int) -> str:
        """Return what a message calls it."""
        ...


class Files:
    """Image files.

    Their names are kept in one buffer: ten million strings would be copied into every worker as they are counted.
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]]) -> None:
        buffer, ends = bytearray(), array("q")
        for name in names:
            buffer += os.fsencode(name)
            ends.append(len(buffer))
        self.names, self.ends = np.frombuffer(buffer, np.uint8), np.frombuffer(ends, np.int64)
        self.groups = [len(ends)]

    def __len__(self) -> int:
        return len(self.ends)

    def name(self, index: int) -> str:
        """Return a file's path."""
        start = self.ends[index - 1] if index else 0
        return os.fsdecode(self.names[start : self.ends[index]].tobytes())

    def read(self, index: int) -> Pixels:
        """Return the image in a file."""
        return read_pixels(self.name(index), is_fast=True)


GROUPS_AT_ONCE = 16


def shuffled(groups: Sequence[int], generator: Generator) -> Tensor:
    """Return the numbers of all images in random order.

    Of many groups, 16 at a time are mixed, so that a pass reads them one after the other, whoever reads: shards that
    have to be fetched come when they are needed, and a disk reads whole regions.

    Args:
        groups: the sizes of the groups.
        generator: of a random order.
    """
    if len(groups) == 1:
        return torch.randperm(groups[0], generator=generator)
    starts = np.cumsum([0, *groups])
    order = torch.randperm(len(groups), generator=generator).tolist()
    passes = []
    for first in range(0, len(order), GROUPS_AT_ONCE):
        window = order[first : first + GROUPS_AT_ONCE]
        numbers = torch.cat([torch.arange(starts[group], starts[group + 1]) for group in window])
        passes.append(numbers[torch.randperm(len(numbers), generator=generator)])
    return torch.cat(passes)


def split(num_images: int) -> list[int]:
    """Return which images are held out: one in ten, at most 32, evenly spaced."""
    num_held_out = min(max(num_images // 10, 1), 32)
    return [i * num_images // num_held_out for i in range(num_held_out)]
