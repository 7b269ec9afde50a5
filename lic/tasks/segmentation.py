"""Semantic segmentation: mean intersection over union, and the share of pixels that are right."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lic.backbones.networks import Network
from lic.curves.facts import Facts
from lic.data.camvid import read_camvid
from lic.data.coco_masks import read_coco_semantic
from lic.data.subset import subset
from lic.data.voc import SemanticImages, read_voc
from lic.demo.scenes import SHAPES
from lic.images import image_size
from lic.settings import require
from lic.tasks.bootstrap import draw_weights, interval
from lic.tasks.card import Make, Source, TaskCard, Verdict
from lic.tasks.classes import match_all, match_classes, plain
from lic.tasks.placing import answers_in_files
from lic.tasks.sets import check_sizes, take
from lic.tasks.task import fingerprint

NO_CLASS = 255  # not judged in the truth, always wrong in a prediction
NUM_IDS = 256

Ids = NDArray[np.uint8]


class Segmentation:
    """A segmenter on images with a class for each pixel.

    What it answers beyond the dataset's classes becomes their background or, where they have none, is always wrong. A
    segmenter that knows only part of the classes (`is_partial`) is judged on these and its background, which all the
    dataset's other classes become: torchvision's own way of judging VOC's 21 classes on COCO
    (references/segmentation/coco_utils.py).
    """

    facts: Facts
    is_resized = False

    def __init__(
        self, name: str, dataset: str, semantic: SemanticImages, network: Network, is_partial: bool = False
    ) -> None:
        self.name, self.dataset, self._network = name, dataset, network
        self.images: list[Path] = semantic.images
        self.masks = semantic.masks
        self.classes = {i: name for i, name in enumerate(semantic.classes) if name and i not in semantic.ignored}
        self._answers = self._truths = np.arange(NUM_IDS, dtype=np.uint8)
        known = {plain(name) for name in network.classes or ()}
        if is_partial and network.classes and not known.issuperset(map(plain, self.classes.values())):
            self._truths = _truths_as_answers(network, self.classes, dataset)
            self.classes = dict(enumerate(network.classes))
        elif (matched := match_all(network, self.classes, dataset)) is not None:
            background = next((i for i, word in self.classes.items() if plain(word) == "background"), NO_CLASS)
            self._answers = np.array([matched.get(i, background) for i in range(NUM_IDS)], np.uint8)
        self._truths = self._truths.copy()
        self._truths[list(semantic.ignored)] = NO_CLASS
        self.network, self.fingerprint = network.name, fingerprint(network, f"ids {self._answers.tolist()}")

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[dict[str, str]]:
        """Return each image's class by pixel at the image's own size, as a PNG of the dataset's ids."""
        answers = answers_in_files(self._network, images, paths, self.is_resized)
        return [{"png": to_png(self._answers[answer.numpy()])} for answer in answers]

    def score(self, predictions: Sequence[Any], originals: Sequence[Any] = ()) -> dict[str, Any]:
        """Return mIoU over all pixels, averaged over the classes that the masks show, and pixel accuracy.

        Raises:
            ValueError: a prediction has another size than its mask.
        """
        counts = []
        for mask, prediction in zip(self.masks, predictions, strict=True):
            with Image.open(mask) as opened:
                truth = np.array(opened)
            counts.append(count_pixels(self._truths[truth], from_png(prediction["png"]), mask))
        return overlap_scores(np.stack(counts), "pixel_accuracy")


def _truths_as_answers(network: Network, classes: Mapping[int, str], dataset: str) -> Ids:
    """Return the network's index by the dataset's id, its background where the network knows no such class.

    Raises:
        ValueError: they have no class in common, or the network has no background.
    """
    matched = match_classes(network, classes) or {}
    background = [i for i, name in enumerate(network.classes or ()) if plain(name) == "background"]
    if not matched or not background:
        match_all(network, classes, dataset)
    answers = {i: answer for answer, i in matched.items()}
    return np.array([answers.get(i, background[0]) for i in range(NUM_IDS)], np.uint8)


def to_png(ids: Ids) -> str:
    """Return (H, W) ids as base64 of a PNG."""
    file = io.BytesIO()
    Image.fromarray(ids).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def from_png(text: str) -> Ids:
    """Return the ids in such a PNG."""
    with Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as image:
        return np.array(image)


def count_pixels(truth: Ids, predicted: Ids, name: object) -> NDArray[np.int64]:
    """Return by id, (3, 256), how many pixels agree, are true, are predicted.

    Args:
        truth: (H, W), 255 where nothing is judged.
        predicted: the same size.
        name: of the image, for the error.

    Raises:
        ValueError: the sizes differ.
    """
    if truth.shape != predicted.shape:
        sizes = " and ".join(f"{x.shape[1]} x {x.shape[0]}" for x in (predicted, truth))
        raise ValueError(f"the prediction and {name} differ in size ({sizes}); annotations fit the original grid only")
    is_judged = truth != NO_CLASS
    truth, predicted = truth[is_judged], predicted[is_judged]
    parts = (truth[truth == predicted], truth, predicted)
    return np.stack([np.bincount(part, minlength=NUM_IDS) for part in parts])


def overlap_scores(counts: NDArray[np.int64], accuracy: str) -> dict[str, Any]:
    """Return mIoU with its bootstrap interval, and the share of pixels that agree.

    Args:
        counts: (images, 3, 256) of `count_pixels`.
        accuracy: what to call the share.
    """
    drawn = np.tensordot(draw_weights(len(counts)), counts, 1)
    total = counts.sum(0)
    share = float(total[0].sum() / total[1].sum()) if total[1].any() else np.nan
    return {"miou": float(_mean_iou(total[None])[0]), **interval("miou", _mean_iou(drawn)), accuracy: share}


def _mean_iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (sets,) means over the classes that occur in the truth, of counts (sets, 3, 256).

    On a full set all classes do. On a part of one, a class that is only predicted would count as a 0 at one operating
    point and not at the next; its pixels are wrong in the classes that they were taken from anyhow.
    """
    both, true, predicted = counts[:, :, :NO_CLASS].transpose(1, 0, 2)
    occurs = true > 0
    shares = both / np.maximum(true + predicted - both, 1)
    mean = (shares * occurs).sum(1) / np.maximum(occurs.sum(1), 1)
    return np.where(occurs.any(1), mean, np.nan)


def check_masks(semantic: SemanticImages) -> None:
    """Raise ValueError, naming the file, unless every mask has one channel of 8 bits and only ids that mean something.

    A pixel of a class that there is not would be a class of IoU 0.
    """
    known = {i for i, name in enumerate(semantic.classes) if name} | {*semantic.ignored, NO_CLASS}
    for mask in semantic.masks:
        with Image.open(mask) as opened:
            require(opened.mode in ("L", "P"), f"mask {mask} is of Pillow's mode '{opened.mode}'; expected one channel "
                                               "of 8 bits, the class of each pixel")
            ids = np.bincount(np.array(opened).ravel(), minlength=NUM_IDS).nonzero()[0].tolist()
        strange = [i for i in ids if i not in known]
        require(not strange, f"mask {mask} holds the id {strange[:1]}, which is none of the classes and is not ignored "
                             f"({', '.join(map(str, sorted(known)))})")


def _open(source: Source, semantic: SemanticImages, is_partial: bool = False) -> Make:
    kept = subset([path.name for path in semantic.images], source.limit)
    limited = semantic._replace(images=take(semantic.images, kept), masks=take(semantic.masks, kept))
    if source.is_demo:
        limited = limited._replace(classes=("background", *SHAPES))
    check_sizes(zip(limited.images, map(image_size, limited.masks), strict=True))
    check_masks(limited)
    dataset = source.describe(len(kept), len(semantic.images), [path.name for path in semantic.images])
    return lambda title, network: Segmentation(title, dataset, limited, network, is_partial)


_VERDICT = Verdict(Facts("miou", "mIoU", "Segmentation"), "semantic", "deeplabv3_resnet50")

COCO_SEMSEG = TaskCard(
    "coco-semseg", (_VERDICT,), lambda source: _open(source, read_coco_semantic(source.root), is_partial=True),
    dataset="COCO val2017", num_images=5000, file_name=r"\d{12}\.jpg",
)  # fmt: skip
VOC_SEG = TaskCard(
    "voc-seg", (_VERDICT,), lambda source: _open(source, read_voc(source.root)),
    dataset="VOC2012 val", num_images=1449, file_name=r"\d{4}_\d{6}\.jpg", has_demo=True,
)  # fmt: skip
CAMVID_SEG = TaskCard(
    "camvid-seg", (_VERDICT,), lambda source: _open(source, read_camvid(source.root)),
    dataset="CamVid val", num_images=101, file_name=r"0016E5_\d{5}\.png",
)  # fmt: skip
