"""Object detection: COCO's box average precision by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn

from lic.data.coco import CocoImages

Detections = list[dict[str, Any]]


class Detection:
    """A detector of torchvision's conventions (labels are COCO category ids) on annotated images."""

    def __init__(self, dataset: str, coco: CocoImages, network: nn.Module, limit: int | None = None) -> None:
        self.name, self.dataset = "coco-det", dataset
        self.images: list[Path] = coco.images[:limit]
        self.image_ids = coco.image_ids[:limit]
        self.annotations = coco.annotations
        self.network = network

    @torch.no_grad()
    def predict(self, image: Tensor) -> list[Detections]:
        """Return each image's detections in COCO's result format, without the image id."""
        return [_as_coco(found) for found in self.network(list(image))]

    def score(self, predictions: Sequence[Detections]) -> dict[str, float]:
        """Return AP (mean over IoU .50:.95) and AP50; images without a detection count."""
        rows = [
            {"image_id": image_id, **detection}
            for image_id, detections in zip(self.image_ids, predictions, strict=True)
            for detection in detections
        ]
        if not rows:
            return {"ap": 0.0, "ap50": 0.0}
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self.annotations, self.annotations.loadRes(rows), "bbox")
            evaluation.params.imgIds = self.image_ids
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {"ap": float(evaluation.stats[0]), "ap50": float(evaluation.stats[1])}


def _as_coco(found: dict[str, Tensor]) -> Detections:
    boxes = found["boxes"].float().cpu().clone()
    boxes[:, 2:] -= boxes[:, :2]  # COCO: left, top, width, height
    columns = zip(boxes.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
    return [{"bbox": box, "score": score, "category_id": label} for box, score, label in columns]
