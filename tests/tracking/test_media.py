"""Samples: boxes and masks lie in the run's files as networks gave them."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from PIL import Image
from pycocotools import mask as rle

from lic.images import write_image
from lic.settings.tracking import WandbConfig
from lic.tracking.media import NUM_BOXES, NUM_SAMPLES, log_samples
from lic.tracking.runs import start_wandb
from tests.support import noise_image
from tests.wandb_file import RunFile, read_run

MASK = np.zeros((40, 60), np.uint8)
MASK[10:20, 5:30] = 2


@pytest.fixture(autouse=True)
def no_run_left() -> Iterator[None]:
    yield
    wandb.finish()


def png(mask: np.ndarray[Any, Any]) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def instance(category: int, score: float, mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    encoded = rle.encode(np.asfortranarray(mask))
    return {"bbox": [5.0, 10.0, 25.0, 10.0], "score": score, "category_id": category,
            "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()}}  # fmt: skip


TASKS = {
    "coco-det": [{"bbox": [5.5, 10.0, 20.0, 8.0], "score": 0.01 * i, "category_id": 1} for i in range(50)],
    "voc-seg": {"png": png(MASK)},
    "imagenet-cls": {"top5": [3, 1, 2, 0, 4]},
    "coco-seg": [instance(7, 0.9, (MASK > 0).astype(np.uint8)), instance(4, 0.5, np.ones((40, 60), np.uint8))],
    "question": {"answer": "no"},
}
QUESTION = 'question: {"answer": "no"}'
"""A guest's, as a caption."""


@pytest.fixture
def run(tmp_path: Path) -> RunFile:
    """The run of an evaluation of ten images at two settings, the one of higher rate first by name."""
    for place, bpp in (("original", None), ("codec-mse/a", 0.4), ("codec-mse/b", 0.2)):
        folder = tmp_path / "samples" / place
        folder.mkdir(parents=True)
        for i in range(10):
            write_image(noise_image(i, 40, 60), folder / f"{i}.png")
            facts: dict[str, Any] = {"tasks": TASKS}
            facts |= {} if bpp is None else {"bpp": bpp, "qualities": {"psnr": 30.0}}
            (folder / f"{i}.json").write_text(json.dumps(facts))
    classes = {"coco-det": {"1": "circle"}, "voc-seg": {"0": "background", "2": "square"}, "coco-seg": {"7": "star"},
               "imagenet-cls": {"3": "triangle"}, "question": {}}  # fmt: skip
    (tmp_path / "samples" / "classes.json").write_text(json.dumps(classes))
    with start_wandb(WandbConfig(mode="offline"), "a", {}, tmp_path, "eval", "codec / mse", [0.01]) as started:
        log_samples(tmp_path, "codec-mse")
        log_samples(tmp_path, "another")  # has no samples
        folder = Path(started.dir).parent
    return read_run(folder)


def test_settings_are_steps_in_order_of_rate(run: RunFile) -> None:
    assert [sorted(row) for row in run.history] == [["samples/original", "samples/reconstruction"],
                                                    ["samples/reconstruction"]]  # fmt: skip
    captions = [row["samples/reconstruction"]["captions"] for row in run.history]
    assert captions[0][0] == f"0; 0.200 bpp, 30.00 dB; imagenet-cls: triangle; {QUESTION}"
    assert captions[1][7] == f"7; 0.400 bpp, 30.00 dB; imagenet-cls: triangle; {QUESTION}"
    assert len(captions[1]) == NUM_SAMPLES
    assert run.history[0]["samples/original"]["captions"][1] == f"1; imagenet-cls: triangle; {QUESTION}"


def test_boxes(run: RunFile) -> None:
    shown = run.history[0]["samples/reconstruction"]
    assert len(shown["all_boxes"]) == NUM_SAMPLES
    boxes = json.loads((run.folder / "files" / shown["all_boxes"][0]["coco-det"]["path"]).read_text())
    assert len(boxes["box_data"]) == NUM_BOXES
    assert boxes["class_labels"] == {"1": "circle"}
    best = boxes["box_data"][0]
    assert best["position"] == {"minX": 5.5, "minY": 10.0, "maxX": 25.5, "maxY": 18.0} and best["domain"] == "pixel"
    assert (best["class_id"], best["box_caption"], best["scores"]) == (1, "circle 0.49", {"score": 0.49})


def test_masks(run: RunFile) -> None:
    masks = run.history[0]["samples/reconstruction"]["all_masks"][0]
    paths = {task: run.folder / "files" / masks[task]["path"] for task in masks}
    assert sorted(paths) == ["coco-seg", "voc-seg"]
    assert np.array_equal(np.array(Image.open(paths["voc-seg"])), MASK)
    assert np.array_equal(np.array(Image.open(paths["coco-seg"])), np.where(MASK > 0, 7, 4)), "the surer one on top"
