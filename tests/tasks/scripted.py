"""Scripted networks, and a small annotated set with all that COCO's scoring treats apart."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from lic.backbones.networks import Kind
from lic.data.coco import CocoImages


class Answers:
    """A network that gives the answers that it was told, in order."""

    def __init__(
        self, kind: Kind, answers: list[Any], classes: tuple[str, ...] | None = None, name: str = "net"
    ) -> None:
        self.kind, self.answers, self.classes, self.name = kind, list(answers), classes, name
        self.fingerprint = name

    def __call__(self, image: Tensor) -> list[Any]:
        return [self.answers.pop(0) for _ in image]


def shown(count: int) -> tuple[Tensor, list[Path]]:
    """Images for a scripted network, which does not look at them, and their files."""
    return torch.zeros(count, 3, 8, 8), [Path(f"{i}.png") for i in range(count)]


def synthetic_coco(num_images: int = 20, seed: int = 0) -> dict[str, Any]:
    """A COCO json of boxes and masks of all sizes, crowds, an image without objects and a category without any."""
    rng = np.random.default_rng(seed)
    annotations = []
    for image_id in range(1, num_images):  # the last image stays empty
        for _ in range(rng.integers(1, 7)):
            width, height = rng.uniform(8, 150, 2)
            left, top = rng.uniform(0, 240 - width), rng.uniform(0, 200 - height)
            box = [float(v) for v in (left, top, width, height)]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": int(rng.choice([2, 5, 7])),
                 "bbox": box, "area": 0.8 * box[2] * box[3], "iscrowd": int(rng.random() < 0.15),
                 "segmentation": run_lengths(ellipse(box))}
            )  # fmt: skip
    images = [{"id": i, "width": 240, "height": 200, "file_name": f"{i}.png"} for i in range(1, num_images + 1)]
    names = {2: "bicycle", 5: "airplane", 7: "train", 9: "boat"}
    categories = [{"id": i, "name": name} for i, name in names.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def ellipse(box: list[float]) -> Any:
    y, x = np.mgrid[:200, :240]
    left, top, width, height = box
    return ((x + 0.5 - left) / width - 0.5) ** 2 + ((y + 0.5 - top) / height - 0.5) ** 2 < 0.25


def run_lengths(mask: Any) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def as_images(content: dict[str, Any]) -> CocoImages:
    index = COCO()
    index.dataset = json.loads(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    ids = [each["id"] for each in content["images"]]
    return CocoImages([Path(each["file_name"]) for each in content["images"]], ids, index)


def guesses(content: dict[str, Any], seed: int = 1, with_masks: bool = False) -> list[dict[str, Tensor]]:
    """What a middling detector might find: boxes off, labels wrong, some missing, some invented; none in image 3."""
    rng = np.random.default_rng(seed)
    found = []
    for image in content["images"]:
        objects = [each for each in content["annotations"] if each["image_id"] == image["id"]]
        boxes, labels = [[10.0, 10.0, 60.0, 70.0]], [int(rng.choice([2, 5, 9]))]
        for each in objects:
            for _ in range(rng.integers(0, 3)):
                shift = rng.normal(0, 0.07, 4) * np.tile(each["bbox"][2:], 2)
                left, top, width, height = np.array(each["bbox"]) + shift
                boxes.append([left, top, left + width, top + height])
                labels.append(each["category_id"] if rng.random() < 0.9 else 7)
        if image["id"] == 3:
            boxes, labels = [], []
        corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        scores = torch.tensor(rng.random(len(boxes)), dtype=torch.float32)
        found.append({"boxes": corners, "scores": scores, "labels": torch.tensor(labels, dtype=torch.long)})
        if with_masks:
            sizes = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes]
            masks = np.array([ellipse(box) for box in sizes], bool).reshape(-1, 200, 240)
            found[-1]["masks"] = torch.from_numpy(masks)
    return found


def plain_cocoeval(content: dict[str, Any], rows: list[dict[str, Any]], folder: Path, iou: str = "bbox") -> COCOeval:
    """COCO's own steps (pycocoEvalDemo), from files."""
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), iou)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
