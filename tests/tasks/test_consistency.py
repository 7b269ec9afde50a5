"""Consistency: the original agrees with itself, and what a codec breaks counts as an independent tool counts it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torch.nn.functional import kl_div
from torchmetrics.segmentation import MeanIoU

from lic.backbones.networks import Kind
from lic.tasks.consistency import build_consistency
from lic.tasks.task import Task
from tests.tasks.scripted import Answers, guesses, plain_cocoeval, shown, synthetic_coco


def task_of(kind: Kind, answers: list[Any]) -> Task:
    return build_consistency("consistency", "kodak24", [Path("a.png")] * 20, Answers(kind, answers))


def test_classifier_by_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    original = 3 * torch.randn(20, 50, generator=generator)
    other = original + torch.randn(20, 50, generator=generator)
    task = task_of("classification", [*original, *other])
    originals, predictions = json.loads(json.dumps([task.predict(*shown(20)), task.predict(*shown(20))]))
    scores = task.score(predictions, originals)
    expected = kl_div(other.log_softmax(1), original.log_softmax(1), log_target=True, reduction="batchmean").item()
    assert scores["kl"] == pytest.approx(expected, rel=1e-4) and 0.1 < expected < 1
    assert scores["agreement"] == pytest.approx((original.argmax(1) == other.argmax(1)).double().mean().item())
    assert scores["agreement_low"] < scores["agreement"] < scores["agreement_high"]
    same = task.score(originals, originals)
    assert (same["agreement"], same["agreement_low"], same["kl"]) == (1, 1, 0)


def by_cocoeval(originals: list[Any], predictions: list[Any], folder: Path) -> COCOeval:
    objects = [{**each, "image_id": i, "iscrowd": 0, "area": each["bbox"][2] * each["bbox"][3]}
               for i, found in enumerate(originals) for each in found if each["score"] >= 0.5]  # fmt: skip
    truth = {"info": {}, "images": [{"id": i} for i in range(len(originals))],
             "annotations": [{**each, "id": i + 1} for i, each in enumerate(objects)],
             "categories": [{"id": i} for i in range(10)]}  # fmt: skip
    rows = [{"image_id": i, **each} for i, found in enumerate(predictions) for each in found]
    return plain_cocoeval(truth, rows, folder)


def test_detector_by_pycocotools(tmp_path: Path) -> None:
    content = synthetic_coco()
    original = guesses(content, seed=1)
    other = [{**each, "boxes": each["boxes"] + 3 * torch.randn(each["boxes"].shape)} for each in original]
    task = task_of("detection", original + other)
    originals, predictions = json.loads(json.dumps([task.predict(*shown(20)), task.predict(*shown(20))]))
    scores = task.score(predictions, originals)
    expected = by_cocoeval(originals, predictions, tmp_path).stats
    assert [scores["ap"], scores["ap50"], scores["ar100"]] == [expected[0], expected[1], expected[8]]
    assert 0.05 < scores["ap_low"] < scores["ap"] < scores["ap_high"] < 0.95
    assert task.score(originals, originals)["ap"] == pytest.approx(1.0)


def test_detections_where_the_original_shows_nothing_are_false() -> None:
    task = task_of("detection", [])
    one = {"bbox": [0.0, 0.0, 50.0, 50.0], "score": 0.9, "category_id": 0}
    originals = [[one], [{**one, "score": 0.3}], *[[]] * 18]
    assert task.score([[one], [], *[[]] * 18], originals)["ap"] == pytest.approx(1.0)
    assert task.score([[one], [{**one, "score": 0.95}], *[[]] * 18], originals)["ap"] == pytest.approx(0.5)
    assert task.score([[], *[[one]] * 19], originals)["ap"] == 0
    assert math.isnan(task.score([[one]] * 20, [[]] * 20)["ap"]) and math.isnan(task.score([[]] * 20, [[]] * 20)["ap"])


def test_segmenter_by_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(1)
    original: Tensor = torch.randint(5, (20, 12, 9), generator=generator, dtype=torch.uint8)
    noise = torch.randint(5, original.shape, generator=generator, dtype=torch.uint8)
    other = torch.where(torch.rand(original.shape, generator=generator) < 0.7, original, noise)
    task = task_of("semantic", [*original, *other])
    originals, predictions = json.loads(json.dumps([task.predict(*shown(20)), task.predict(*shown(20))]))
    scores = task.score(predictions, originals)
    expected = MeanIoU(num_classes=5, include_background=True, input_format="index")
    expected.update(other.long().flatten()[None, None], original.long().flatten()[None, None])
    assert scores["miou"] == pytest.approx(expected.compute().item(), abs=1e-6)
    assert scores["pixel_agreement"] == pytest.approx((other == original).double().mean().item())
    same = task.score(originals, originals)
    assert set(same.pop("miou_replicates")) == set(same.values()) == {1.0}
