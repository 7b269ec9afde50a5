"""Training crops: the order is a function of seed and step, and a bad image costs one crop, not the run."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from lic.data.crops import MOST_UNREADABLE, Crops, Draw, StepSampler, collate
from lic.data.source import Files, split

PX = [(0, 32.0)]


def batches(sampler: StepSampler, count: int) -> list[list[Draw]]:
    """The next batches, over as many epochs as it takes."""
    found: list[list[Draw]] = []
    while len(found) < count:
        for batch in sampler:
            found.append(batch)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("num_images", [50, 48, 7, 3])
def test_resumed_is_uninterrupted(num_images: int) -> None:
    whole = batches(StepSampler([num_images], 4, PX, seed=3), 40)
    for first in (1, 11, 12, 13, 24, 39):
        resumed = batches(StepSampler([num_images], 4, PX, seed=3, first_step=first), 40 - first)
        assert resumed == whole[first:], first
    assert whole != batches(StepSampler([num_images], 4, PX, seed=4), 40)


def test_iterating_again_goes_on() -> None:
    """Lightning asks for an iterator per epoch, and after a resume within one."""
    whole = batches(StepSampler([50], 4, PX, seed=0), 36)
    sampler = StepSampler([50], 4, PX, seed=0, first_step=5)
    epochs = [list(sampler), list(sampler), list(sampler)]
    assert [len(epoch) for epoch in epochs] == [7, 12, 12]
    assert [batch for epoch in epochs for batch in epoch] == whole[5:]


def test_every_image_once_per_epoch() -> None:
    for epoch in range(3):
        sampler = StepSampler([48], 4, PX, seed=1, first_step=12 * epoch)
        assert len(sampler) == 12
        draws = [draw for batch in sampler for draw in batch]
        assert sorted(draw.image for draw in draws) == list(range(48))
        assert [draw.image for draw in draws] != list(range(48))
        assert len({draw.seed for draw in draws}) == 48


def test_epochs_differ_in_order_and_crops() -> None:
    sampler = StepSampler([48], 4, PX, seed=1)
    first, second = ([draw for batch in sampler for draw in batch] for _ in range(2))
    assert [draw.image for draw in first] != [draw.image for draw in second]
    assert not {draw.seed for draw in first} & {draw.seed for draw in second}


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_ranks_share_an_epoch_out(world_size: int) -> None:
    ranks = [StepSampler([48], 4, PX, seed=2, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert {len(rank) for rank in ranks} == {48 // (4 * world_size)}
    drawn = [draw for rank in ranks for batch in rank for draw in batch]
    assert sorted(draw.image for draw in drawn) == list(range(48))
    together = [draw for batch in StepSampler([48], 4, PX, seed=2) for draw in batch]
    assert sorted(drawn) == sorted(together), "the same crops whatever the number of ranks"


def test_several_batches_a_step() -> None:
    whole = batches(StepSampler([50], 2, PX, seed=3, accumulated=3), 60)
    assert len(StepSampler([50], 2, PX, seed=3, accumulated=3)) == 24, "a pass ends with a step"
    assert batches(StepSampler([50], 2, PX, seed=3, first_step=11, accumulated=3), 27) == whole[33:]
    joined = batches(StepSampler([50], 6, PX, seed=3), 20)
    assert [[*a, *b, *c] for a, b, c in zip(whole[::3], whole[1::3], whole[2::3], strict=True)] == joined


@pytest.mark.parametrize("num_images", [1, 3])
def test_folder_smaller_than_a_batch(num_images: int) -> None:
    (batch,) = StepSampler([num_images], 8, PX, seed=0)
    counts = Counter(draw.image for draw in batch)
    assert set(counts) == set(range(num_images)) and max(counts.values()) - min(counts.values()) <= 1
    assert len({draw.seed for draw in batch}) == 8, "the same image is cropped elsewhere each time"


def ramp(height: int, width: int) -> Image.Image:
    """An image whose pixels say where they are: red is the row, green the column."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([rows, columns, 0 * rows], -1).astype(np.uint8))


def save(folder: Path, *images: Image.Image | None) -> Files:
    """Write images as PNG files, and a text for each None."""
    paths = [folder / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(b"no image") if image is None else image.save(path)
    return Files(paths)


def test_crops_are_pieces_of_the_image(tmp_path: Path) -> None:
    crops = Crops(save(tmp_path, ramp(60, 90)))
    corners = set()
    for seed in range(200):
        image, unreadable = crops[Draw(0, seed, 32)]
        assert image.shape == (32, 32, 3) and unreadable == -1
        top, left = image[0, 0, :2].tolist()
        rows, columns = torch.meshgrid(torch.arange(32) + top, torch.arange(32) + left, indexing="ij")
        assert torch.equal(image[..., :2], torch.stack([rows, columns], -1).to(torch.uint8))
        corners.add((top, left))
        assert torch.equal(crops[Draw(0, seed, 32)].image, image)
    tops, lefts = ({corner[axis] for corner in corners} for axis in (0, 1))
    assert (min(tops), max(tops), min(lefts)) == (0, 28, 0) and max(lefts) >= 55 and len(corners) > 150


@pytest.mark.parametrize("seed", [0, -1, 20_261_120, 2**63])
def test_any_seed(seed: int, tmp_path: Path) -> None:
    crops = Crops(save(tmp_path, ramp(40, 40), ramp(50, 33), ramp(32, 90)))
    for (draw,) in batches(StepSampler([3], 1, PX, seed), 6):
        assert crops[draw].image.shape == (32, 32, 3)


def test_image_smaller_than_a_crop_is_mirrored(tmp_path: Path) -> None:
    crop = Crops(save(tmp_path, ramp(20, 50)))[Draw(0, 5, 32)].image
    rows = crop[..., 0].int()
    assert torch.equal(rows[:, 0], torch.tensor([*range(20), *range(18, 6, -1)]))
    assert torch.equal(crop[0, :, 1], crop[31, :, 1]), "columns are cropped, not padded"
    tiny = Crops(save(tmp_path, ramp(1, 1)))[Draw(0, 0, 32)].image
    assert tiny.shape == (32, 32, 3) and not tiny.any()


def test_unreadable_image_gives_way_to_the_next(tmp_path: Path) -> None:
    crops = Crops(save(tmp_path, ramp(40, 40), None, None, ramp(32, 32)))
    assert crops[Draw(0, 9, 32)].unreadable == -1
    image, unreadable = crops[Draw(1, 9, 32)]
    assert unreadable == 2 and torch.equal(image, crops[Draw(3, 9, 32)].image)
    assert crops[Draw(2, 9, 32)].unreadable == 2
    wrapped = Crops(Files([crops.source.name(3), crops.source.name(1)]))
    assert wrapped[Draw(1, 9, 32)].unreadable == 1 and torch.equal(wrapped[Draw(1, 9, 32)].image, image)


def test_all_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{MOST_UNREADABLE} images in a row could not be read, .*png") as error:
        _ = Crops(save(tmp_path, *[None] * 30))[Draw(4, 0, 32)]
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="could not be read"):
        _ = Crops(save(tmp_path, None))[Draw(0, 0, 32)]


def test_loader_batches_crops(tmp_path: Path) -> None:
    crops = Crops(save(tmp_path, ramp(40, 50), None, ramp(70, 33)))
    batch = next(iter(DataLoader(crops, batch_sampler=StepSampler([3], 3, PX, seed=0), collate_fn=collate)))
    assert batch.images.shape == (3, 3, 32, 32) and batch.unreadable == [1]
    assert torch.equal(batch.images[0] * 255, batch.pixels[0].permute(2, 0, 1))


@pytest.mark.parametrize(("num_images", "num_held_out"), [(1, 1), (2, 1), (9, 1), (25, 2), (378, 32), (5000, 32)])
def test_some_images_are_held_out(num_images: int, num_held_out: int) -> None:
    indices = split(num_images)
    assert len(indices) == num_held_out and indices == sorted(set(indices)) and indices[-1] < num_images
    gaps = np.diff([*indices, num_images])
    assert gaps.max() - gaps.min() <= 1, "evenly spaced"


def test_names_of_files(tmp_path: Path) -> None:
    names = ["", "a", os.fsdecode(b"\xff/\xfe.png"), "ü/b.png", "c" * 300]
    files = Files(names)
    assert [files.name(i) for i in range(len(files))] == names and files.groups == [5]


def test_the_side_of_crops_changes_at_a_step(tmp_path: Path) -> None:
    stages = [(0, 32.0), (5, 48.0), (9, 16.0)]
    whole = batches(StepSampler([7], 2, stages, seed=0), 12)
    assert [batch[0].crop_px for batch in whole] == [32] * 5 + [48] * 4 + [16] * 3
    assert batches(StepSampler([7], 2, stages, seed=0, first_step=6), 6) == whole[6:]
    crops = Crops(save(tmp_path, *[ramp(60, 90)] * 7))
    assert [len(crops[batch[0]].image) for batch in whole] == [batch[0].crop_px for batch in whole]


def test_flips(tmp_path: Path) -> None:
    paths = save(tmp_path, ramp(60, 90))
    plain = Crops(paths)
    for flips, axes in (("horizontal", [1]), ("both", [1, 0])):
        crops, seen = Crops(paths, flips), Counter[tuple[int, ...]]()  # type: ignore[arg-type]
        for seed in range(200):
            image, original = crops[Draw(0, seed, 32)].image, plain[Draw(0, seed, 32)].image
            (mirrored,) = (way for way in ((), (1,), (0,), (1, 0)) if torch.equal(image, original.flip(way)))
            seen[mirrored] += 1
        assert len(seen) == 2 ** len(axes) and min(seen.values()) > 0.7 * 200 / len(seen), seen


def test_images_are_shrunk_before_the_crop(tmp_path: Path) -> None:
    crops = Crops(save(tmp_path, ramp(200, 250), ramp(40, 250)), min_scale=0.5)
    rises = [crops[Draw(0, seed, 32)].image[..., 0].int().diff(dim=0).float().mean() for seed in range(100)]
    assert 0.99 < min(rises) < 1.1 and 1.8 < max(rises) <= 2.01, "rows of the image in one of the crop"
    small = [crops[Draw(1, seed, 32)].image for seed in range(20)]
    assert all(image.shape == (32, 32, 3) for image in small)
