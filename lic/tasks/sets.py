"""Each task's set of images, read and checked, and a fixed part of it taken where asked for."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar, assert_never

from lic.backbones.networks import Network
from lic.data.camvid import read_camvid
from lic.data.coco import CocoImages, check_masks, read_coco
from lic.data.coco_masks import read_coco_semantic
from lic.data.imagenet import LabelledImages, read_folder_classes, read_imagenet
from lic.data.subset import subset
from lic.data.voc import SemanticImages, read_voc, read_voc_boxes
from lic.demo.scenes import SHAPES, scenes_root
from lic.images import image_size, list_images
from lic.settings import require
from lic.settings.names import TaskName
from lic.tasks.classification import Classification
from lic.tasks.consistency import build_consistency
from lic.tasks.detection import Detection, VocDetection
from lic.tasks.segmentation import Segmentation
from lic.tasks.task import Task

_Item = TypeVar("_Item")

DEMO_DATASET = "demo scenes (embedded, synthetic)"
DEMO_TASKS: tuple[TaskName, ...] = ("imagenet-cls", "coco-det", "voc-seg", "consistency")

Maker = Callable[[str, Network], Task]
"""A task's full name and a network -> the task."""


def open_set(name: TaskName, data_root: Path | None, limit: int | None) -> Maker:
    """Return what makes a task of a network, on images that are there and fit their annotations.

    Args:
        name: the task's on the command line.
        data_root: folder with the data; None for the demo scenes.
        limit: how many images to take: those whose names have the smallest SHA-256.

    Raises:
        ValueError: in one line: data are missing or do not fit each other.
    """
    if data_root is None:
        require(name in DEMO_TASKS, f"{name} has no demo scenes; give --data_root, the folder with its data "
                                    f"(without one there are {', '.join(DEMO_TASKS)})")
    root, is_demo = data_root or scenes_root(), data_root is None
    match name:
        case "imagenet-cls":
            return _classes("ImageNet val", 50_000, read_imagenet(root), is_demo, limit)
        case "folder-cls":
            return _classes(root.resolve().name, None, read_folder_classes(root), is_demo, limit)
        case "coco-det":
            return _boxes(name, "COCO val2017", 5000, read_coco(root), is_demo, limit)
        case "coco-seg":
            return _boxes(name, "COCO val2017", 5000, read_coco(root), is_demo, limit)
        case "voc-det":
            return _boxes(name, "VOC2012 val", 5823, read_voc_boxes(root), is_demo, limit)
        case "voc-seg":
            return _pixels("VOC2012 val", 1449, read_voc(root), is_demo, limit)
        case "coco-semseg":
            return _pixels("COCO val2017", 5000, read_coco_semantic(root), is_demo, limit, is_partial=True)
        case "camvid-seg":
            return _pixels("CamVid val", 101, read_camvid(root), is_demo, limit)
        case "consistency":
            return _unlabelled(root, is_demo, limit)
        case _:
            assert_never(name)


def _classes(dataset: str, full: int | None, labelled: LabelledImages, is_demo: bool, limit: int | None) -> Maker:
    # by class folder or flat, ImageNet's files have the same names; other folders may repeat them
    names = [path.name if full else f"{path.parent.name}/{path.name}" for path in labelled.images]
    kept = subset(names, limit)
    images, labels = _take(labelled.images, kept), _take(labelled.labels, kept)
    dataset = _describe(dataset, len(kept), full or len(names), is_demo, len(names))
    limited = labelled._replace(images=images, labels=labels)
    return lambda title, network: Classification(title, dataset, limited, network)


def _boxes(
    name: TaskName, dataset: str, full: int, coco: CocoImages, is_demo: bool, limit: int | None
) -> Maker:
    if name == "coco-seg":
        check_masks(coco)
    kept = subset([path.name for path in coco.images], limit)
    limited = coco._replace(images=_take(coco.images, kept), image_ids=_take(coco.image_ids, kept))
    entries = coco.annotations.loadImgs(limited.image_ids)
    _check_sizes(zip(limited.images, [(each["height"], each["width"]) for each in entries], strict=True))
    dataset = _describe(dataset, len(kept), full, is_demo, len(coco.images))
    if name == "voc-det":
        return lambda title, network: VocDetection(title, dataset, limited, network)
    return lambda title, network: Detection(title, dataset, limited, network, "segm" if name == "coco-seg" else "bbox")


def _pixels(
    dataset: str, full: int, semantic: SemanticImages, is_demo: bool, limit: int | None, is_partial: bool = False
) -> Maker:
    kept = subset([path.name for path in semantic.images], limit)
    limited = semantic._replace(images=_take(semantic.images, kept), masks=_take(semantic.masks, kept))
    if is_demo:
        limited = limited._replace(classes=("background", *SHAPES))
    _check_sizes(zip(limited.images, map(image_size, limited.masks), strict=True))
    dataset = _describe(dataset, len(kept), full, is_demo, len(semantic.images))
    return lambda title, network: Segmentation(title, dataset, limited, network, is_partial)


def _unlabelled(root: Path, is_demo: bool, limit: int | None) -> Maker:
    folder = root / "imagenet" / "val" if is_demo else root  # all scenes
    images = list_images(folder)
    kept = subset([path.name if is_demo else path.relative_to(folder).as_posix() for path in images], limit)
    dataset = _describe(folder.resolve().name, len(kept), len(images), is_demo, len(images))
    return lambda title, network: build_consistency(title, dataset, _take(images, kept), network)


def _describe(dataset: str, num_kept: int, full: int, is_demo: bool, num_scenes: int) -> str:
    """Return a dataset's name, with the number of its images where they are not all."""
    dataset, full = (DEMO_DATASET, num_scenes) if is_demo else (dataset, full)
    return dataset if num_kept == full else f"{dataset}, {num_kept} of {full}"


def _take(items: Sequence[_Item], positions: Sequence[int]) -> list[_Item]:
    return [items[i] for i in positions]


def _check_sizes(pairs: Iterable[tuple[Path, tuple[int, int]]]) -> None:
    """Raise ValueError unless each image has the (height, width) that it was annotated at."""
    for path, (height, width) in pairs:
        size = image_size(path)
        require(size == (height, width), f"{path} is {size[1]} x {size[0]}, but annotated as {width} x {height}")
