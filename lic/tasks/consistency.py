"""Consistency: a network's predictions on reconstructions against its own on the originals. No labels are needed.

Its output on the uncompressed image stands for the truth, as in Fischer et al. 2022, "Evaluation of Video Coding for
Machines without Ground Truth" (https://arxiv.org/abs/2205.06519), who find BD-rates within 0.7 points of those with
true labels at middle rates. The ceiling is 1 by construction: it shows what a codec breaks, not where a network errs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from pycocotools.coco import COCO
from torch import Tensor

from lic.backbones.networks import Network
from lic.curves.facts import Facts
from lic.data.subset import subset
from lic.listing import list_images
from lic.tasks.bootstrap import mean_interval
from lic.tasks.card import Make, Source, TaskCard, Verdict
from lic.tasks.classification import top5
from lic.tasks.detection import Detections, build_index, coco_scores, to_coco
from lic.tasks.placing import answers_in_files
from lic.tasks.segmentation import count_pixels, from_png, overlap_scores, to_png
from lic.tasks.sets import take
from lic.tasks.task import Task, fingerprint

MIN_SCORE = 0.5
"""Detections on the original count as objects from this score on, from which detectors' demos show them (Detectron2's
`--confidence-threshold`). Those under it rank after every object, so that the original still scores 1."""
DIGITS = 5


class _Consistency:
    """A network on images without labels."""

    meaning: str
    facts: Facts
    is_resized = False

    def __init__(self, name: str, dataset: str, images: Sequence[Path], network: Network) -> None:
        self.name, self.dataset, self.images, self._network = name, dataset, list(images), network
        self.classes = dict(enumerate(network.classes or ()))
        self.network, self.fingerprint = network.name, fingerprint(network, self.meaning)


class ClassConsistency(_Consistency):
    """A classifier's consistency."""

    meaning = f"top5, log_probabilities to {DIGITS} digits"

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[dict[str, Any]]:
        """Return the five most likely classes of each image, best first, and the logarithms of all probabilities."""
        answers = self._network(images)
        logarithms = [logits.double().log_softmax(0).tolist() for logits in answers]
        return [
            {"top5": top5(logits), "log_probabilities": [round(value, DIGITS) for value in values]}
            for logits, values in zip(answers, logarithms, strict=True)
        ]

    def score(self, predictions: Sequence[Any], originals: Sequence[Any]) -> dict[str, Any]:
        """Return how often the first class is the original's, and KL(original || reconstruction) in nats, 0 = the same.

        It is the mean over images of sum p_original (log p_original - log p_reconstruction); lower is better.
        """
        pairs = list(zip(predictions, originals, strict=True))
        agrees = np.array([float(ours["top5"][0] == theirs["top5"][0]) for ours, theirs in pairs])
        divergences = [_divergence(theirs["log_probabilities"], ours["log_probabilities"]) for ours, theirs in pairs]
        ends = mean_interval("agreement", agrees)
        return {"agreement": float(agrees.mean()), **ends, "kl": float(np.mean(divergences))}


def _divergence(original: Sequence[float], reconstruction: Sequence[float]) -> float:
    log_p, log_q = (values - np.logaddexp.reduce(values) for values in map(np.array, (original, reconstruction)))
    return float((np.exp(log_p) * (log_p - log_q)).sum())


class DetectionConsistency(_Consistency):
    """A detector's consistency."""

    meaning = "boxes"

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[Detections]:
        """Return each image's detections in COCO's result format; categories are the network's labels."""
        answers = answers_in_files(self._network, images, paths, self.is_resized)
        return [to_coco(found, None) for found in answers]

    def score(self, predictions: Sequence[Detections], originals: Sequence[Detections]) -> dict[str, Any]:
        """Return COCO's twelve numbers against the original's detections of score .5 and more.

        Where the original shows none, every detection is false; NaN where no original shows any.
        """
        rows = [{"image_id": i, **each} for i, found in enumerate(predictions) for each in found]
        truth = _as_annotations(originals, {row["category_id"] for row in rows})
        return coco_scores(truth, rows, range(len(originals)))


def _as_annotations(originals: Sequence[Detections], categories: set[int]) -> COCO:
    objects = [
        {"image_id": i, "category_id": each["category_id"], "bbox": each["bbox"], "iscrowd": 0,
         "area": each["bbox"][2] * each["bbox"][3]}
        for i, found in enumerate(originals)
        for each in found
        if each["score"] >= MIN_SCORE
    ]  # fmt: skip
    categories = categories | {each["category_id"] for each in objects}
    return build_index(
        {
            "images": [{"id": i} for i in range(len(originals))],
            "annotations": [{"id": i, **each} for i, each in enumerate(objects, start=1)],  # pycocotools: 0 is none
            "categories": [{"id": i} for i in sorted(categories)],
        }
    )


class SegmentationConsistency(_Consistency):
    """A segmenter's consistency."""

    meaning = "ids"

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[dict[str, str]]:
        """Return each image's class by pixel, as a PNG of the network's ids."""
        answers = answers_in_files(self._network, images, paths, self.is_resized)
        return [{"png": to_png(answer.numpy())} for answer in answers]

    def score(self, predictions: Sequence[Any], originals: Sequence[Any]) -> dict[str, Any]:
        """Return mIoU against the original's segmentation, and the share of pixels of the same class."""
        maps = zip(self.images, predictions, originals, strict=True)
        counts = [count_pixels(from_png(theirs["png"]), from_png(ours["png"]), name) for name, ours, theirs in maps]
        return overlap_scores(np.stack(counts), "pixel_agreement")


def build_consistency(name: str, dataset: str, images: Sequence[Path], network: Network) -> Task:
    """Return the consistency of a network of any kind but instances."""
    match network.kind:
        case "classification":
            return ClassConsistency(name, dataset, images, network)
        case "detection":
            return DetectionConsistency(name, dataset, images, network)
        case "semantic":
            return SegmentationConsistency(name, dataset, images, network)
        case "instances" | "vlm":
            raise AssertionError(f"consistency takes no network of kind {network.kind}")
        case _:
            assert_never(network.kind)


def _open(source: Source) -> Make:
    folder = source.root / "imagenet" / "val" if source.is_demo else source.root  # all scenes
    images = list_images(folder)
    kept = subset([path.name if source.is_demo else path.relative_to(folder).as_posix() for path in images],
                  source.limit)  # fmt: skip
    dataset = source.describe(len(kept), len(images))
    return lambda title, network: build_consistency(title, dataset, take(images, kept), network)


CONSISTENCY = TaskCard(
    "consistency",
    (
        Verdict(Facts("agreement", "agreement", "Consistency"), "classification", "resnet50", "-cls"),
        Verdict(Facts("ap", "AP to own", "Consistency"), "detection", "fasterrcnn_resnet50_fpn_v2", "-det"),
        Verdict(Facts("miou", "mIoU to own", "Consistency"), "semantic", "deeplabv3_resnet50", "-seg"),
    ),
    _open, has_demo=True,
)  # fmt: skip
