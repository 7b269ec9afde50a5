"""Drawn scenes as arrays in memory, for training and judging the demo networks."""

import io
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from torch import Tensor
from torchvision.transforms.v2.functional import normalize

from lic.atomic import replacing
from lic.demo.drawing import draw_scene
from lic.demo.scenes import cache_folder, world_name

MOST_OBJECTS = 3
CHUNK = 32


@dataclass(frozen=True)
class SceneArrays:
    """N scenes; an image has up to 3 objects, the main one first.

    Attributes:
        images: (N, 128, 128, 3) RGB.
        masks: (N, 128, 128); 0 is background, 1 to 10 are the shapes.
        boxes: (N, 3, 4), x0 y0 x1 y1 in px; unused rows are zero.
        labels: (N, 3), 0 to 9; -1 where there is no object.
        captions: (N,) of str.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    captions: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: NDArray[np.int64]) -> "SceneArrays":
        """Copies of some of the scenes."""
        return SceneArrays(**{name: values[rows] for name, values in vars(self).items()})


def draw_arrays(split: str, num_scenes: int) -> SceneArrays:
    """The first scenes of a split, drawn in parallel and kept in the cache folder."""
    path = cache_folder() / f"arrays-{world_name()}-{split}-{num_scenes}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return SceneArrays(**stored)
    starts = range(0, num_scenes, CHUNK)
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(starts)), mp_context=get_context("spawn")) as pool:
        chunks = pool.map(_draw_chunk, [split] * len(starts), starts, [min(i + CHUNK, num_scenes) for i in starts])
        scenes = _join(track(chunks, f"drawing {num_scenes} {split} scenes", total=len(starts)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **vars(scenes))
    return scenes


def jpeg_compressed(scenes: SceneArrays, quality: int) -> SceneArrays:
    """The same scenes after Pillow's JPEG: for judging only, never for training."""
    images = []
    for image in scenes.images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality)
        images.append(np.asarray(Image.open(stream)))
    return replace(scenes, images=np.stack(images))


def to_images(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, H, W, 3) as (N, 3, H, W) in [0, 1], channels last in memory."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float().div_(255)


def clip_input(network: open_clip.CLIP, images: Tensor) -> Tensor:
    """Images in [0, 1], normalised as the tower asks."""
    mean, std = list(network.visual.image_mean), list(network.visual.image_std)
    return normalize(images, mean, std)  # type: ignore[no-any-return]  # untyped library


def _draw_chunk(split: str, start: int, stop: int) -> SceneArrays:
    """Some consecutive scenes."""
    count = stop - start
    images, masks, captions = [], np.zeros((count, 128, 128), np.uint8), []
    boxes, labels = np.zeros((count, MOST_OBJECTS, 4), np.float32), np.full((count, MOST_OBJECTS), -1)
    for row in range(count):
        scene = draw_scene(split, start + row)
        images.append(scene.image)
        captions.append(scene.caption)
        for i, item in enumerate(scene.objects):
            masks[row][item.mask] = item.label + 1
            boxes[row, i], labels[row, i] = item.box, item.label
    return SceneArrays(np.stack(images), masks, boxes, labels, np.array(captions))


def _join(chunks: Iterable[SceneArrays]) -> SceneArrays:
    """All chunks as one."""
    parts = [vars(chunk) for chunk in chunks]
    return SceneArrays(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
