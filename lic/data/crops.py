"""Random training crops whose order depends on seed and step alone: a resumed run sees what it would have seen."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms.functional import resize

from lic.data.source import Source, shuffled
from lic.images import Pixels, UnreadableImage, from_pixels, pad_at_least, to_pixels
from lic.settings.names import FlipsName
from lic.settings.stages import Stages, value_at

MOST_UNREADABLE = 20  # in a row, before the source is given up


class Draw(NamedTuple):
    """Which image to crop, the seed of where and how, and the crop's side."""

    image: int
    seed: int
    crop_px: int


class Crop(NamedTuple):
    """A crop.

    Attributes:
        image: (crop_px, crop_px, 3), RGB, 8 bits: a quarter of what floats would take on the way to the device.
        unreadable: index of an image that could not be read and gave way to the next one; -1 if none.
    """

    image: Tensor
    unreadable: int


class Batch(NamedTuple):
    """Crops of a step.

    Attributes:
        pixels: (N, crop_px, crop_px, 3), RGB, 8 bits.
        unreadable: indices of images that could not be read; no tensor, which would be moved to the device and back.
    """

    pixels: Tensor
    unreadable: list[int]

    @property
    def images(self) -> Tensor:
        """(N, 3, crop_px, crop_px), RGB in [0, 1]."""
        return self.pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format) / 255


def collate(crops: Sequence[Crop]) -> Batch:
    """Return crops as a batch."""
    unreadable = [crop.unreadable for crop in crops if crop.unreadable >= 0]
    return Batch(torch.stack([crop.image for crop in crops]), unreadable)


class Crops(Dataset[Crop]):
    """Crops of images; one smaller than a crop is mirrored at the border.

    Args:
        source: the images.
        flips: along which axes half of the crops are mirrored.
        min_scale: crops are shrunk by random factors, down to this, from that much more of the image.
    """

    def __init__(self, source: Source, flips: FlipsName = "none", min_scale: float = 1.0) -> None:
        self.source = source
        self.axes = {"none": (), "horizontal": (1,), "both": (1, 0)}[flips]
        self.min_scale = min_scale

    def __getitem__(self, draw: Draw) -> Crop:
        unreadable = -1
        for offset in range(MOST_UNREADABLE):
            index = (draw.image + offset) % len(self.source)
            try:
                return Crop(self._crop(self.source.read(index), draw), unreadable)
            except UnreadableImage:
                unreadable = index
        name = self.source.name(unreadable)
        raise ValueError(f"{MOST_UNREADABLE} images in a row could not be read, the last is {name}")

    def _crop(self, pixels: Pixels, draw: Draw) -> Tensor:
        """Return a crop; of the image only this much is copied and converted."""
        generator = torch.Generator().manual_seed(draw.seed)
        side = draw.crop_px
        if self.min_scale < 1:
            scale = float(torch.empty(()).uniform_(self.min_scale, 1, generator=generator))
            side = max(min(round(draw.crop_px / scale), *pixels.shape[:2]), draw.crop_px)
        if min(pixels.shape[:2]) < side:
            pixels = to_pixels(pad_at_least(from_pixels(pixels), side))
        top, left = (int(torch.randint(full - side + 1, (), generator=generator)) for full in pixels.shape[:2])
        crop = torch.from_numpy(pixels[top : top + side, left : left + side].copy())
        if side > draw.crop_px:
            crop = resize(crop.permute(2, 0, 1), [draw.crop_px, draw.crop_px], antialias=True).permute(1, 2, 0)
        mirrored = [axis for axis in self.axes if torch.rand((), generator=generator) < 0.5]
        return crop.flip(mirrored) if mirrored else crop


class StepSampler(Sampler[list[Draw]]):
    """Batches of draws, a shuffled pass over the images per epoch; batch k is the same wherever training resumes.

    Args:
        groups: how many images lie together; see `shuffled`.
        batch_size: crops of a batch.
        crop_px: their side, by step.
        seed: of the order and the crops.
        first_step: the step to begin at.
        rank: which of the processes that share each batch out this is.
        world_size: how many there are.
        accumulated: batches a step.
    """

    def __init__(
        self, groups: Sequence[int], batch_size: int, crop_px: Stages, seed: int, first_step: int = 0, rank: int = 0,
        world_size: int = 1, accumulated: int = 1,
    ) -> None:  # fmt: skip
        self.groups, self.batch_size, self.crop_px, self.seed = groups, batch_size, crop_px, seed
        self.num_images = sum(groups)
        self.next_batch, self.rank, self.world_size = first_step * accumulated, rank, world_size
        self.accumulated = accumulated

    def __len__(self) -> int:
        num_steps = self.num_images // (self.batch_size * self.world_size * self.accumulated)
        return max(num_steps, 1) * self.accumulated

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, first = divmod(self.next_batch, len(self))
        order = shuffled(self.groups, torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**62))
        for batch in range(first, len(self)):
            crop_px = int(value_at(self.crop_px, self.next_batch // self.accumulated))
            self.next_batch += 1
            start = (batch * self.world_size + self.rank) * self.batch_size
            positions = range(start, start + self.batch_size)
            seed = (self.seed * 1_000_003 + epoch) * 1_000_000_007 % 2**62  # torch takes 64 bits
            yield [Draw(int(order[p % self.num_images]), seed + p, crop_px) for p in positions]
