"""Reconstructions in W&B, with what networks saw in them: boxes and masks as wandb.Image's own overlays.

An evaluation writes, of a few images,

    samples/classes.json                     {"coco-det": {"1": "circle", ...}, ...}
    samples/original/STEM.png, .json         {"tasks": {"coco-det": [...], ...}}
    samples/CODEC/SETTING/STEM.png, .json    {"bpp": 0.21, "qualities": {"psnr": 27.4}, "tasks": {...}}

with predictions as tasks make them (lic/tasks/task.py).
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from PIL import Image
from pycocotools import mask as rle

from lic.curves.results import prediction_text
from lic.tracking.runs import present_run

NUM_SAMPLES = 8
NUM_BOXES = 30
"""The most certain of an image; detectors return up to a hundred."""

Classes = dict[int, str]
Overlay = dict[str, Any]


def log_samples(folder: Path, codec: str) -> None:
    """Log the samples of one codec to the present W&B run, if there is one: a history row for each setting, by rate.

    Args:
        folder: an evaluation's.
        codec: the name of the codec's folder among the samples.
    """
    run, samples = present_run(), folder / "samples"
    if run is None or not (samples / codec).is_dir():
        return
    names = json.loads((samples / "classes.json").read_text(encoding="utf-8"))
    classes = {task: {int(key): name for key, name in table.items()} for task, table in names.items()}
    settings = {place: _read(place) for place in sorted((samples / codec).iterdir()) if place.is_dir()}
    log: dict[str, Any] = {"samples/original": [_image(*pair, classes) for pair in _read(samples / "original")]}
    for pairs in sorted(settings.values(), key=lambda pairs: sum(facts["bpp"] for _, facts in pairs)):
        log["samples/reconstruction"] = [_image(*pair, classes) for pair in pairs]
        run.log(log)
        log = {}


def _read(place: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the first samples of a folder: image file, and what its JSON says."""
    paths = sorted(place.glob("*.png"))[:NUM_SAMPLES]
    return [(path, json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))) for path in paths]


def _image(path: Path, facts: dict[str, Any], classes: dict[str, Classes]) -> wandb.Image:
    caption, boxes, masks = [path.stem], {}, {}
    if "bpp" in facts:
        psnr_db = facts["qualities"].get("psnr")
        caption.append(f"{facts['bpp']:.3f} bpp" + (f", {psnr_db:.2f} dB" if psnr_db is not None else ""))
    for task, prediction in facts["tasks"].items():
        names = classes[task]
        if isinstance(prediction, list) and all(isinstance(one, dict) and "score" in one for one in prediction):
            boxes[task] = _boxes(prediction, names)
            if prediction and "segmentation" in prediction[0]:
                masks[task] = {"mask_data": _paint(prediction), "class_labels": names}
        elif isinstance(prediction, dict) and "png" in prediction:
            mask = np.array(Image.open(io.BytesIO(base64.b64decode(prediction["png"]))))
            masks[task] = {"mask_data": mask, "class_labels": names}
        elif isinstance(prediction, dict) and "top5" in prediction:
            best = prediction["top5"][0]
            caption.append(f"{task}: {names.get(best, best)}")
        else:
            caption.append(f"{task}: {prediction_text(prediction)}")
    return wandb.Image(str(path), caption="; ".join(caption), boxes=boxes or None, masks=masks or None)


def _boxes(prediction: list[dict[str, Any]], names: Classes) -> Overlay:
    found = sorted(prediction, key=lambda one: -one["score"])[:NUM_BOXES]
    return {"box_data": [_box(one, names) for one in found], "class_labels": names}


def _box(one: dict[str, Any], names: Classes) -> Overlay:
    left, top, width, height = one["bbox"]
    name = names.get(one["category_id"], str(one["category_id"]))
    return {
        "position": {"minX": left, "minY": top, "maxX": left + width, "maxY": top + height},
        "domain": "pixel",
        "class_id": one["category_id"],
        "box_caption": f"{name} {one['score']:.2f}",
        "scores": {"score": one["score"]},
    }


def _paint(prediction: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the class by pixel, (H, W), the most certain instances on top; 0 where there is none."""
    canvas = np.zeros(prediction[0]["segmentation"]["size"], dtype=np.uint8)
    for one in sorted(prediction, key=lambda one: one["score"])[-NUM_BOXES:]:
        canvas[rle.decode(one["segmentation"]).astype(bool)] = one["category_id"]
    return canvas
