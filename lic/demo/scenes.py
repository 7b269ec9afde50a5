"""The demo scenes on disk, in the formats of ImageNet, COCO and VOC, so that the real sets' readers read them.

    <root>/imagenet/{train,val}/<shape>/<id>.png                        the files themselves
    <root>/coco/{train2017,val2017}/<id>.png                            links to them
    <root>/coco/annotations/{instances,captions}_{train,val}2017.json   boxes, masks (RLE), captions
    <root>/VOCdevkit/VOC2012/JPEGImages/<id>.png                        links
    <root>/VOCdevkit/VOC2012/SegmentationClass/<id>.png                 0 background, 1 to 10 the shapes
    <root>/VOCdevkit/VOC2012/ImageSets/Segmentation/{train,val}.txt

They are written once, into `$LIC_CACHE` or ~/.cache/lic; `LIC_SCENES=64,16` makes a smaller world of 64 training and
16 validation scenes. How a scene is drawn: lic/demo/drawing.py.

    from lic.demo.scenes import scenes_root
    torchvision.datasets.ImageFolder(scenes_root() / "imagenet" / "val")
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from lic.demo import drawing
from lic.demo.drawing import COLOURS, SCENE_PX, SHAPES, SIZES, TEXTURES, Scene, SceneObject, draw_scene

__all__ = [
    "COLOURS", "NUM_TRAIN", "NUM_VAL", "SCENE_PX", "SHAPES", "SIZES", "TEXTURES", "Scene", "SceneObject",
    "draw_scene", "scene_counts", "scenes_root", "write_scenes",
]  # fmt: skip

NUM_TRAIN, NUM_VAL = 4096, 400
FIRST_ID = {"train": 0, "val": 100_000}
CHUNK = 16


class _Record(NamedTuple):
    """What the annotation files say of one written scene."""

    id: int
    split: str
    image: dict[str, object]
    caption: dict[str, object]
    instances: list[dict[str, object]]


def scenes_root() -> Path:
    """The folder of the demo scenes, written first if it is missing."""
    num_train, num_val = scene_counts()
    name = f"scenes-{world_name()}-{num_train}-{num_val}"
    return made_once(name, lambda root: write_scenes(root, num_train, num_val))


def made_once(name: str, write: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, written first if it is missing; whole or not at all, whoever else writes it.

    Args:
        name: the folder's; it changes with what is in it.
        write: is given the folder to write into, which is beside the folder's place.

    Raises:
        OSError: it cannot be written.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    try:
        write(partial)
        partial.chmod(0o755)  # mkdtemp's is for its owner alone
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # or else another process was quicker
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def scene_counts() -> tuple[int, int]:
    """How many training and validation scenes there are: `$LIC_SCENES`, such as 64,16, or the full world's."""
    wanted = os.environ.get("LIC_SCENES")
    if wanted is None:
        return NUM_TRAIN, NUM_VAL
    counts = wanted.split(",")
    if len(counts) != 2 or not all(count.strip().isdecimal() and int(count) > 0 for count in counts):
        raise ValueError(f"LIC_SCENES is two positive numbers, training and validation scenes (64,16), not '{wanted}'")
    return int(counts[0]), int(counts[1])


def cache_folder() -> Path:
    """Return `$LIC_CACHE` or ~/.cache/lic, made if it is missing.

    Raises:
        ValueError: it cannot be made.
    """
    folder = Path(os.environ.get("LIC_CACHE") or os.path.expanduser("~/.cache/lic")).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"the cache folder {folder} cannot be made ({error.strerror}): name another, as in "
                         "LIC_CACHE=/tmp/lic") from error
    return folder


def world_name() -> str:
    """A name that changes with the drawing's version and parameters."""
    parameters = {name: value for name, value in vars(drawing).items() if name.isupper()}
    return hashlib.sha256(repr(sorted(parameters.items())).encode()).hexdigest()[:8]


def write_scenes(root: Path, num_train: int, num_val: int) -> None:
    """Draws and writes both splits with their annotations below root, in as many processes as there are cores."""
    from rich.progress import track  # only here: the processes that draw need none of it

    voc = root / "VOCdevkit" / "VOC2012"
    folders = [root / "coco/annotations", voc / "JPEGImages", voc / "SegmentationClass", voc / "ImageSets/Segmentation"]
    for split in FIRST_ID:
        folders += [root / "coco" / f"{split}2017", *(root / "imagenet" / split / shape for shape in SHAPES)]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    jobs = [("train", i) for i in range(num_train)] + [("val", i) for i in range(num_val)]
    chunks = [jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK)]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(chunks)), mp_context=get_context("spawn")) as pool:
        done = pool.map(_write_chunk, [root] * len(chunks), chunks)
        text = f"drawing {len(jobs)} demo scenes"
        records = [record for chunk in track(done, text, total=len(chunks), transient=True) for record in chunk]
    for split in FIRST_ID:
        _write_annotations(root, split, [record for record in records if record.split == split])


def _write_chunk(root: Path, jobs: list[tuple[str, int]]) -> list[_Record]:
    """Some scenes' files, and what is to be annotated of them."""
    return [_write_scene(root, split, index) for split, index in jobs]


def _write_scene(root: Path, split: str, index: int) -> _Record:
    """One scene's image, class mask and links."""
    scene = draw_scene(split, index)
    number = FIRST_ID[split] + index
    name = f"{number:06d}.png"
    file = Path("imagenet", split, SHAPES[scene.label], name)
    voc = Path("VOCdevkit", "VOC2012")
    Image.fromarray(scene.image).save(root / file, compress_level=1)
    for link in (Path("coco", f"{split}2017", name), voc / "JPEGImages" / name):
        (root / link).symlink_to(os.path.relpath(root / file, (root / link).parent))
    classes = np.zeros((SCENE_PX, SCENE_PX), np.uint8)
    for item in scene.objects:
        classes[item.mask] = item.label + 1
    Image.fromarray(classes).save(root / voc / "SegmentationClass" / name)
    return _Record(
        id=number,
        split=split,
        image={"id": number, "file_name": name, "width": SCENE_PX, "height": SCENE_PX},
        caption={"id": number, "image_id": number, "caption": scene.caption},
        instances=[_instance(number, i, item) for i, item in enumerate(scene.objects)],
    )


def _instance(image_id: int, position: int, item: SceneObject) -> dict[str, object]:
    """One object as a COCO annotation; its mask is the visible part, run-length encoded."""
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(item.mask.astype(np.uint8)))
    x0, y0, x1, y1 = item.box
    return {
        "id": 10 * image_id + position + 1,
        "image_id": image_id,
        "category_id": item.label + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(item.mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
    }


def _write_annotations(root: Path, split: str, records: Iterable[_Record]) -> None:
    """The COCO json files and the VOC list of one split."""
    records = list(records)
    categories = [{"id": i, "name": shape, "supercategory": "shape"} for i, shape in enumerate(SHAPES, start=1)]
    images = [record.image for record in records]
    instances = [instance for record in records for instance in record.instances]
    captions = [record.caption for record in records]
    folder = root / "coco" / "annotations"
    detection = {"info": {}, "images": images, "annotations": instances, "categories": categories}
    (folder / f"instances_{split}2017.json").write_text(json.dumps(detection))
    (folder / f"captions_{split}2017.json").write_text(
        json.dumps({"info": {}, "images": images, "annotations": captions})
    )
    listed = root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / f"{split}.txt"
    listed.write_text("".join(f"{record.id:06d}\n" for record in records))
