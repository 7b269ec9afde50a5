"""ImageNet's validation set by class folder (torchvision's ImageFolder), or any set laid out so."""

from pathlib import Path
from typing import NamedTuple

from torchvision.datasets import ImageFolder


class LabelledImages(NamedTuple):
    """Images and their classes.

    Attributes:
        images: one path per image.
        labels: index of each image's class folder in alphabetical order (ImageNet: of its WordNet id).
        classes: the folders' names.
    """

    images: list[Path]
    labels: list[int]
    classes: list[str]


def read_imagenet(root: Path, split: str = "val") -> LabelledImages:
    """Return the images in `root/split/CLASS/*` or `root/imagenet/split/CLASS/*`.

    Raises:
        ValueError: in one line, with what was looked for.
    """
    folder = next((root / name for name in (split, f"imagenet/{split}") if (root / name).is_dir()), None)
    if folder is None:
        raise ValueError(f"no ImageNet in {root}: expected {split}/CLASS/*.JPEG (https://image-net.org, registration)")
    try:
        found = ImageFolder(str(folder), allow_empty=True)  # a class without images keeps its label
    except FileNotFoundError as error:
        raise ValueError(f"no ImageNet in {folder}: {error}") from error
    if not found.samples:
        raise ValueError(f"no ImageNet in {folder}: no images in its folders {', '.join(found.classes)[:80]}")
    paths, labels = zip(*found.samples, strict=True)
    return LabelledImages([Path(path) for path in paths], list(labels), found.classes)


def read_folder_classes(root: Path) -> LabelledImages:
    """Return the images in `root/CLASS/*`."""
    found = ImageFolder(str(root), allow_empty=True)
    paths, labels = zip(*found.samples, strict=True)
    return LabelledImages([Path(path) for path in paths], list(labels), found.classes)
