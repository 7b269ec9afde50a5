"""ImageNet's validation set in the layouts in which people have it, and folders of classes of any other set."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from lic.listing import image_files

DEVKIT = "ILSVRC2012_devkit_t12"
Row = TypeVar("Row")


class LabelledImages(NamedTuple):
    """Images and their classes.

    Attributes:
        images: one path per image.
        labels: index of each image's class; ImageNet's are in the order of their WordNet ids.
        classes: their folders' names, or WordNet ids.
    """

    images: list[Path]
    labels: list[int]
    classes: list[str]


def read_imagenet(root: Path, split: str = "val") -> LabelledImages:
    """Return the set in the first of these layouts that is there, below `root` or `root/imagenet`.

        split/CLASS/*                         torchvision's ImageFolder, a folder for each WordNet id or for some
        split/*.JPEG                          flat, with the labels of ILSVRC2012_devkit_t12/data
        LOC_val_solution.csv                  Kaggle's; images in ILSVRC/Data/CLS-LOC/val or split
        labels.csv                            columns `file` and `class_index_0_999`; images in images/

    Raises:
        ValueError: in one line: what was looked for, the first image that is missing, or how labels do not fit.
    """
    for base in (root, root / "imagenet"):
        folder = base / split
        if (base / "labels.csv").is_file():
            return _check(_read_labels_csv(base), base / "labels.csv")
        if (base / "LOC_val_solution.csv").is_file():
            return _check(_read_kaggle(base, split), base / "LOC_val_solution.csv")
        if folder.is_dir() and _visible_folders(folder):
            return _as_imagenet(_read_folders(folder))
        if folder.is_dir() and any(folder.glob("*.JPEG")):
            return _read_flat(folder, base)
    raise ValueError(f"no ImageNet in {root}: expected {split}/CLASS/*.JPEG, or {split}/*.JPEG beside {DEVKIT}/ "
                     "(https://image-net.org, registration; `python -m lic download imagenet` says more)")


def read_folder_classes(root: Path) -> LabelledImages:
    """Return the images in `root/CLASS/*`, of two classes at least.

    Raises:
        ValueError: there are no such folders.
    """
    if not root.is_dir() or len(_visible_folders(root)) < 2:
        raise ValueError(f"no classes in {root}: expected a folder of images for each of two classes or more")
    return _read_folders(root)


def _visible_folders(folder: Path) -> list[str]:
    """Return the names of a folder's folders, sorted, without hidden ones such as .ipynb_checkpoints."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _as_imagenet(found: LabelledImages) -> LabelledImages:
    """Return the labels among all 1000 classes if the folders are some of them: a part of ImageNet keeps its order."""
    from timm.data import ImageNetInfo  # only here: it takes a while

    classes = ImageNetInfo().label_names()
    if not set(found.classes) <= set(classes):
        return found
    order = [classes.index(name) for name in found.classes]
    return found._replace(labels=[order[label] for label in found.labels], classes=classes)


def _read_folders(folder: Path) -> LabelledImages:
    """Return the images in a folder's folders, labelled by their order; one without images keeps its label."""
    classes = _visible_folders(folder)
    found = [(path, label) for label, name in enumerate(classes) for path in image_files(folder / name)]
    if not found:
        raise ValueError(f"no images in the folders {', '.join(classes)[:80]} of {folder}")
    return LabelledImages([path for path, _ in found], [label for _, label in found], classes)


def _read_flat(folder: Path, base: Path) -> LabelledImages:
    """Return flat images with the devkit's labels, whose ids 1 .. 1000 are not in the order of the WordNet ids."""
    from scipy.io import loadmat  # only here: it takes a while

    data = base / DEVKIT / "data"
    truth, meta = data / "ILSVRC2012_validation_ground_truth.txt", data / "meta.mat"
    if not truth.is_file() or not meta.is_file():
        raise ValueError(f"no labels for the images in {folder}: expected {truth} and {meta.name} beside it "
                         "(the devkit of tasks 1 and 2, https://image-net.org)")
    images = sorted(folder.glob("*.JPEG"))
    try:
        synsets = loadmat(str(meta), squeeze_me=True)["synsets"]
        wnids = {int(each["ILSVRC2012_ID"]): str(each["WNID"]) for each in synsets if each["num_children"] == 0}
        classes = sorted(wnids.values())
        labels = [classes.index(wnids[int(line)]) for line in truth.read_text().split()]
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise ValueError(f"{truth} and {meta} do not give classes: {error!r}") from error
    if len(labels) != len(images):
        raise ValueError(f"{truth} has {len(labels)} labels for the {len(images)} images in {folder}")
    return LabelledImages(images, labels, classes)


def _read_kaggle(base: Path, split: str) -> LabelledImages:
    folder = next((path for path in (base / "ILSVRC/Data/CLS-LOC/val", base / split) if path.is_dir()), base / split)
    rows = _read_rows(base / "LOC_val_solution.csv", lambda row: (row["ImageId"], row["PredictionString"].split()[0]))
    classes = sorted({wnid for _, wnid in rows})
    order = {wnid: i for i, wnid in enumerate(classes)}
    rows.sort()
    return LabelledImages([folder / f"{name}.JPEG" for name, _ in rows], [order[wnid] for _, wnid in rows], classes)


def _read_labels_csv(base: Path) -> LabelledImages:
    rows = _read_rows(base / "labels.csv", lambda row: (row["file"], int(row["class_index_0_999"]), row["wnid"]))
    names = {index: wnid for _, index, wnid in rows}
    images = [base / "images" / file for file, _, _ in rows]
    return LabelledImages(images, [index for _, index, _ in rows], [names.get(i, str(i)) for i in range(1000)])


def _read_rows(path: Path, parse: Callable[[dict[str, str]], Row]) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [parse(row) for row in csv.DictReader(file)]
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} is damaged or has other columns: {error!r}") from error


def _check(labelled: LabelledImages, listing: Path) -> LabelledImages:
    if not labelled.images:
        raise ValueError(f"{listing} lists no image")
    if missing := [path for path in labelled.images if not path.exists()]:
        total = len(labelled.images)
        raise ValueError(f"{len(missing)} of {total} images in {listing} are missing, first {missing[0]}")
    return labelled
