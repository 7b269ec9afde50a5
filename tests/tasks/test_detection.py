"""Box and mask AP are pycocotools' to the last digit, whatever the detections."""

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from lic.tasks.detection import SCORES, Detection, build_index, coco_scores, to_coco
from tests.tasks.scripted import Answers, as_images, guesses, plain_cocoeval, run_lengths, shown, synthetic_coco


def rows_of(content: dict[str, Any], found: list[dict[str, Any]], iou: str) -> list[dict[str, Any]]:
    """Results as torchvision's reference writes them (references/detection/coco_eval.py)."""
    rows = []
    for image, each in zip(content["images"], found, strict=True):
        xmin, ymin, xmax, ymax = each["boxes"].unbind(1)
        boxes = torch.stack((xmin, ymin, xmax - xmin, ymax - ymin), dim=1).tolist()
        for k, box in enumerate(boxes):
            row = {"image_id": image["id"], "category_id": each["labels"][k].item(), "score": each["scores"][k].item()}
            shape = {"bbox": box} if iou == "bbox" else {"segmentation": run_lengths(each["masks"][k].numpy())}
            rows.append({**row, **shape})
    return rows


@pytest.mark.parametrize("iou", ["bbox", "segm"])
def test_twelve_numbers_are_pycocotools(iou: Literal["bbox", "segm"], tmp_path: Path) -> None:
    content = synthetic_coco()
    found = guesses(content, with_masks=iou == "segm")
    task = Detection("coco-det", "COCO", as_images(content), Answers("detection", found), iou)
    scores = task.score(json.loads(json.dumps(task.predict(*shown(20)))))
    expected = plain_cocoeval(content, rows_of(content, found, iou), tmp_path, iou).stats.tolist()
    assert [scores[name] for name in SCORES] == expected  # not approximately
    assert all(0.05 < value < 0.95 for value in expected)
    assert scores["ap_low"] < scores["ap"] < scores["ap_high"]


def test_part_of_the_images(tmp_path: Path) -> None:
    content = synthetic_coco()
    found, coco = guesses(content), as_images(content)
    kept = [1, 4, 5, 9, 19]
    part = coco._replace(images=[coco.images[i] for i in kept], image_ids=[coco.image_ids[i] for i in kept])
    task = Detection("coco-det", "COCO", part, Answers("detection", [found[i] for i in kept]))
    scores = task.score(task.predict(*shown(5)))
    ids = set(part.image_ids)
    content = {**content, "images": [each for each in content["images"] if each["id"] in ids],
               "annotations": [each for each in content["annotations"] if each["image_id"] in ids]}  # fmt: skip
    rows = [row for row in rows_of(synthetic_coco(), found, "bbox") if row["image_id"] in ids]
    expected = plain_cocoeval(content, rows, tmp_path).stats.tolist()
    assert [-1 if math.isnan(scores[name]) else scores[name] for name in SCORES] == expected


def test_no_detections_at_all_score_0() -> None:
    content = synthetic_coco()
    nothing = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.long)}
    task = Detection("coco-det", "COCO", as_images(content), Answers("detection", [nothing] * 20))
    scores = task.score(task.predict(*shown(20)))
    assert set(scores.pop("ap_replicates")) == {0.0}
    assert len(scores) == 14 and set(scores.values()) == {0.0}


def test_what_does_not_occur_is_nan() -> None:
    content = synthetic_coco()
    content["annotations"] = [each for each in content["annotations"] if each["area"] < 32**2]
    scores = coco_scores(build_index(content), [], range(1, 21))
    assert math.isnan(scores["ap_large"]) and math.isnan(scores["ar_medium"])
    assert scores["ap"] == 0 == scores["ap_small"]
    scores = coco_scores(build_index({**content, "annotations": []}), [], range(1, 21))
    assert all(np.isnan(value).all() for value in scores.values())


def test_images_without_objects_or_detections_count() -> None:
    content = synthetic_coco()
    for each in content["annotations"]:
        each["iscrowd"] = 0
    rows = [{"image_id": a["image_id"], "category_id": a["category_id"], "bbox": list(a["bbox"]), "score": 0.6}
            for a in content["annotations"]]  # fmt: skip
    perfect = coco_scores(build_index(content), [dict(row) for row in rows], range(1, 21))
    assert perfect["ap"] == pytest.approx(1.0)
    on_empty = [{"image_id": 20, "category_id": c, "bbox": [0, 0, 9, 9], "score": 0.9} for c in (2, 5, 7)]
    assert coco_scores(build_index(content), [dict(r) for r in rows] + on_empty, range(1, 21))["ap"] < 0.99
    half = [dict(row) for row in rows if row["image_id"] <= 10]
    assert 0.2 < coco_scores(build_index(content), half, range(1, 21))["ap"] < 0.8


def test_labels_become_categories_by_name() -> None:
    """The network's order and words are its own; what the dataset has no name for is dropped."""
    classes = ("Train", "aeroplane", "N/A", "zebra", "boat", "bicycle")
    found = {"boxes": torch.rand(6, 4), "scores": torch.rand(6), "labels": torch.arange(6)}
    task = Detection("coco-det", "COCO", as_images(synthetic_coco()), Answers("detection", [found], classes))
    (predictions,) = task.predict(*shown(1))
    assert [each["category_id"] for each in predictions] == [7, 5, 9, 2]
    assert [each["score"] for each in predictions] == found["scores"][[0, 1, 4, 5]].tolist()
    assert task.classes == {2: "bicycle", 5: "airplane", 7: "train", 9: "boat"}


def test_lacking_categories_are_one_line() -> None:
    with pytest.raises(ValueError, match="net lacks classes of COCO val2017: airplane, boat;") as error:
        network = Answers("detection", [], ("train", "bicycle"))
        Detection("coco-det", "COCO val2017", as_images(synthetic_coco()), network)
    assert "\n" not in str(error.value)


def test_answers_stay_as_they_were() -> None:
    found = guesses(synthetic_coco(), with_masks=True)[0]
    before = found["boxes"].clone()
    rows = to_coco(found, None)
    assert torch.equal(found["boxes"], before)
    for row, box, mask in zip(rows, before, found["masks"], strict=True):
        left, top, width, height = (np.float32(value) for value in row["bbox"])
        assert (left, top) == (box[0].item(), box[1].item()) and width == (box[2] - box[0]).item()
        assert height == (box[3] - box[1]).item()
        assert np.array_equal(coco_mask.decode(row["segmentation"]), mask.numpy())


def test_fingerprint_changes_with_network_and_categories() -> None:
    coco = as_images(synthetic_coco())
    names = ("train", "bicycle", "airplane", "boat")
    networks = [Answers("detection", [], *rest) for rest in ((names,), (names[::-1],), (names, "other"))]
    assert len({Detection("coco-det", "COCO", coco, network).fingerprint for network in networks}) == 3
