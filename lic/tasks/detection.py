"""Object detection and instance segmentation: the average precision of COCO, by pycocotools, and of VOC."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from lic.backbones.networks import Network
from lic.curves.facts import Facts
from lic.data.coco import CocoImages, check_masks, read_coco
from lic.data.subset import subset
from lic.data.voc import read_voc_boxes
from lic.tasks.bootstrap import draw_weights, interval
from lic.tasks.card import Make, Source, TaskCard, Verdict
from lic.tasks.classes import match_all
from lic.tasks.placing import answers_in_files
from lic.tasks.precision import coco_matches, coco_precision, voc_precision
from lic.tasks.sets import check_sizes, take
from lic.tasks.task import fingerprint
from lic.tasks.voc_matching import voc_matches

SCORES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
          "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")  # fmt: skip
"""COCO's twelve numbers in the order of COCOeval.stats."""

Detections = list[dict[str, Any]]


class Detection:
    """A detector on images with annotated objects, or a network that also outlines them (`iou` segm)."""

    facts: Facts
    is_resized = False

    def __init__(
        self, name: str, dataset: str, coco: CocoImages, network: Network, iou: Literal["bbox", "segm"] = "bbox"
    ) -> None:
        self.name, self.dataset, self.iou, self._network = name, dataset, iou, network
        self.images: list[Path] = coco.images
        self.image_ids, self.annotations = coco.image_ids, coco.annotations
        self.classes = {each["id"]: each["name"] for each in coco.annotations.dataset["categories"]}
        self._categories = match_all(network, self.classes, dataset)
        self.network, self.fingerprint = network.name, fingerprint(network, f"results {self._categories}")

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[Detections]:
        """Return each image's detections in COCO's result format, without the image id."""
        answers = answers_in_files(self._network, images, paths, self.is_resized)
        return [to_coco(found, self._categories) for found in answers]

    def score(self, predictions: Sequence[Detections], originals: Sequence[Detections] = ()) -> dict[str, Any]:
        """Return COCO's twelve numbers and AP's interval; NaN where there are no such objects."""
        return coco_scores(self.annotations, self.rows(predictions), self.image_ids, self.iou)

    def rows(self, predictions: Sequence[Detections]) -> Detections:
        """Return the detections of all images as one COCO result."""
        # with boxes beside the masks, pycocotools would take an object's size from its box
        keys = ("score", "category_id", "segmentation" if self.iou == "segm" else "bbox")
        return [
            {"image_id": image_id, **{key: detection[key] for key in keys}}
            for image_id, detections in zip(self.image_ids, predictions, strict=True)
            for detection in detections
        ]


class VocDetection(Detection):
    """A detector on VOC's images: AP50 by the devkit's rule, and COCO's numbers."""

    def score(self, predictions: Sequence[Detections], originals: Sequence[Detections] = ()) -> dict[str, Any]:
        """Return AP50 by VOC's rule since 2010 with its interval, COCO's AP, and COCO's own AP50 as `coco_ap50`."""
        rows = self.rows(predictions)
        objects = self.annotations.loadAnns(self.annotations.getAnnIds(imgIds=self.image_ids))
        matches = voc_matches(objects, rows, self.image_ids, sorted(self.classes))
        coco = coco_scores(self.annotations, rows, self.image_ids, self.iou)
        ap50 = float(voc_precision(matches, np.ones((1, len(self.images)), np.int64))[0])
        ends = interval("ap50", voc_precision(matches, draw_weights(len(self.images))))
        return {"ap50": ap50, **ends, "coco_ap50": coco.pop("ap50"), **coco}


def to_coco(found: dict[str, Tensor], categories: Mapping[int, int] | None) -> Detections:
    """Return a network's answer on one image as COCO results; floats stay as exact as they were.

    Args:
        found: boxes (x0 y0 x1 y1), scores, labels, and masks where the network outlines objects.
        categories: COCO's category by label; detections of others are dropped. None: labels are categories.
    """
    boxes = found["boxes"].float().clone()
    boxes[:, 2:] -= boxes[:, :2]  # COCO: left, top, width, height
    columns = zip(boxes.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
    rows: Detections = []
    for i, (box, score, label) in enumerate(columns):
        category = label if categories is None else categories.get(label)
        if category is not None:
            rows.append({"bbox": box, "score": score, "category_id": category})
            if "masks" in found:
                rows[-1]["segmentation"] = _run_lengths(found["masks"][i].numpy())
    return rows


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}


class _Evaluation(COCOeval):  # type: ignore[misc]  # untyped library
    """COCOeval that leaves VOC's difficult objects out of account; COCO knows no such mark."""

    def _prepare(self) -> None:
        super()._prepare()
        for objects in self._gts.values():
            for each in objects:
                each["ignore"] = each["ignore"] or each.get("difficult", 0)


def coco_scores(
    annotations: COCO, rows: Detections, image_ids: Sequence[int], iou: Literal["bbox", "segm"] = "bbox"
) -> dict[str, Any]:
    """Return COCO's twelve numbers as pycocotools has them, and AP's bootstrap interval.

    Args:
        annotations: the truth.
        rows: COCO results.
        image_ids: the images, all of which count.
        iou: whether boxes or masks are compared.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        # loadRes cannot do without a first row
        found = annotations.loadRes(rows) if rows else build_index({**annotations.dataset, "annotations": []})
        evaluation = _Evaluation(annotations, found, iou)
        evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: float(v) if v > -1 else np.nan for name, v in zip(SCORES, evaluation.stats, strict=True)}
    resampled = coco_precision(coco_matches(evaluation), draw_weights(len(image_ids)))
    return {"ap": values.pop("ap"), **interval("ap", resampled), **values}


def build_index(content: dict[str, Any]) -> COCO:
    """Return pycocotools' index of a COCO json's content."""
    index = COCO()
    index.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    return index


def _limit(source: Source, coco: CocoImages) -> tuple[str, CocoImages]:
    """Return what results call the images, and those that are taken, after a look at their sizes."""
    kept = subset([path.name for path in coco.images], source.limit)
    limited = coco._replace(images=take(coco.images, kept), image_ids=take(coco.image_ids, kept))
    entries = coco.annotations.loadImgs(limited.image_ids)
    check_sizes(zip(limited.images, [(each["height"], each["width"]) for each in entries], strict=True))
    return source.describe(len(kept), len(coco.images), [path.name for path in coco.images]), limited


def _open_coco(source: Source) -> Make:
    dataset, coco = _limit(source, read_coco(source.root))
    return lambda title, network: Detection(title, dataset, coco, network)


def _open_voc(source: Source) -> Make:
    dataset, coco = _limit(source, read_voc_boxes(source.root))
    return lambda title, network: VocDetection(title, dataset, coco, network)


def _open_instances(source: Source) -> Make:
    coco = read_coco(source.root)
    check_masks(coco)
    dataset, coco = _limit(source, coco)
    return lambda title, network: Detection(title, dataset, coco, network, "segm")


COCO_DET = TaskCard(
    "coco-det",
    (Verdict(Facts("ap", "box AP", "Detection"), "detection", "fasterrcnn_resnet50_fpn_v2"),),
    _open_coco, dataset="COCO val2017", num_images=5000, file_name=r"\d{12}\.jpg", has_demo=True,
)  # fmt: skip
VOC_DET = TaskCard(
    "voc-det",
    (Verdict(Facts("ap50", "AP50", "VOC detection"), "detection", "fasterrcnn_resnet50_fpn_v2"),),
    _open_voc, dataset="VOC2012 val", num_images=5823, file_name=r"\d{4}_\d{6}\.jpg",
)  # fmt: skip
COCO_SEG = TaskCard(
    "coco-seg",
    (Verdict(Facts("ap", "mask AP", "Instances"), "instances", "maskrcnn_resnet50_fpn_v2"),),
    _open_instances, dataset="COCO val2017", num_images=5000, file_name=r"\d{12}\.jpg",
)  # fmt: skip
