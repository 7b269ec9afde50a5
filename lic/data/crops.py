"""Random training crops whose order depends on seed and step alone: a resumed run sees what it would have seen."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms.functional import resize

from lic.images import UnreadableImage, pad_at_least, read_image
from lic.settings.names import FlipsName
from lic.settings.stages import Stages, value_at

MOST_UNREADABLE = 20  # in a row, before the folder is given up


class Draw(NamedTuple):
    """Which image to crop, the seed of where and how, and the crop's side."""

    image: int
    seed: int
    crop_px: int


class Crop(NamedTuple):
    """A crop, or a batch of them.

    Attributes:
        image: (3, crop_px, crop_px), RGB in [0, 1].
        unreadable: index of an image that could not be read and gave way to the next one; -1 if none.
    """

    image: Tensor
    unreadable: int


class Crops(Dataset[Crop]):
    """Crops of image files; an image smaller than a crop is mirrored at the border.

    Args:
        images: the files.
        flips: along which axes half of the crops are mirrored.
        min_scale: crops are shrunk by random factors, down to this, from that much more of the image.
    """

    def __init__(self, images: Sequence[Path], flips: FlipsName = "none", min_scale: float = 1.0) -> None:
        self.images = list(images)
        self.axes = {"none": (), "horizontal": (-1,), "both": (-1, -2)}[flips]
        self.min_scale = min_scale

    def __getitem__(self, draw: Draw) -> Crop:
        unreadable = -1
        for offset in range(MOST_UNREADABLE):
            index = (draw.image + offset) % len(self.images)
            try:
                return Crop(self._crop(read_image(self.images[index]), draw), unreadable)
            except UnreadableImage:
                unreadable = index
        raise ValueError(f"{MOST_UNREADABLE} images in a row could not be read, the last is {self.images[unreadable]}")

    def _crop(self, image: Tensor, draw: Draw) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        side = draw.crop_px
        if self.min_scale < 1:
            scale = float(torch.empty(()).uniform_(self.min_scale, 1, generator=generator))
            side = max(min(round(draw.crop_px / scale), *image.shape[-2:]), draw.crop_px)
        image = pad_at_least(image, side)
        top, left = (int(torch.randint(full - side + 1, (), generator=generator)) for full in image.shape[-2:])
        image = image[..., top : top + side, left : left + side]
        if side > draw.crop_px:
            image = resize(image, [draw.crop_px, draw.crop_px], antialias=True).clamp(0, 1)
        mirrored = [axis for axis in self.axes if torch.rand((), generator=generator) < 0.5]
        return (image.flip(mirrored) if mirrored else image)[0]


class StepSampler(Sampler[list[Draw]]):
    """Batches of draws, a shuffled pass over the images per epoch; batch k is the same wherever training resumes."""

    def __init__(
        self, num_images: int, batch_size: int, crop_px: Stages, seed: int, first_step: int = 0, rank: int = 0,
        world_size: int = 1, accumulated: int = 1,
    ) -> None:  # fmt: skip
        self.num_images, self.batch_size, self.crop_px, self.seed = num_images, batch_size, crop_px, seed
        self.next_batch, self.rank, self.world_size = first_step * accumulated, rank, world_size
        self.accumulated = accumulated  # batches a step

    def __len__(self) -> int:
        num_steps = self.num_images // (self.batch_size * self.world_size * self.accumulated)
        return max(num_steps, 1) * self.accumulated

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, first = divmod(self.next_batch, len(self))
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**62)
        order = torch.randperm(self.num_images, generator=generator).tolist()
        for batch in range(first, len(self)):
            crop_px = int(value_at(self.crop_px, self.next_batch // self.accumulated))
            self.next_batch += 1
            start = (batch * self.world_size + self.rank) * self.batch_size
            positions = range(start, start + self.batch_size)
            seed = (self.seed * 1_000_003 + epoch) * 1_000_000_007 % 2**62  # torch takes 64 bits
            yield [Draw(order[p % self.num_images], seed + p, crop_px) for p in positions]


def split_folder(images: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the images to train on and those held out: one in ten, at most 32, evenly spaced in sorted order."""
    num_held_out = min(max(len(images) // 10, 1), 32)
    held_out = {i * len(images) // num_held_out for i in range(num_held_out)}
    training = [image for i, image in enumerate(images) if i not in held_out]
    return training or list(images), [images[i] for i in sorted(held_out)]
