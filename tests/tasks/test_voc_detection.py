"""VOC's AP50 against the devkit's loop, as it stands in VOCevaldet.m and VOCap.m, 1-based pixels and all."""

import json
from typing import Any

import numpy as np
import pytest

from lic.tasks.detection import VocDetection
from tests.tasks.scripted import Answers, as_images, guesses, plain_cocoeval, shown, synthetic_coco


def voc_like(seed: int) -> dict[str, Any]:
    """Whole pixels as in VOC's XML, some objects difficult, no crowds."""
    content = synthetic_coco(30, seed)
    rng = np.random.default_rng(seed)
    for each in content["annotations"]:
        each["bbox"] = [float(round(value)) for value in each["bbox"]]
        is_difficult = int(rng.random() < 0.25)
        each.update(iscrowd=0, difficult=is_difficult, ignore=is_difficult)
    return content


def devkit_ap(content: dict[str, Any], rows: list[dict[str, Any]], category: int) -> float:
    """VOCevaldet.m: one class, its detections from the most confident to the least."""
    truth: dict[int, dict[str, list[Any]]] = {}
    num_positives = 0
    for image in content["images"]:
        truth[image["id"]] = {"box": [], "difficult": [], "detected": []}
    for each in content["annotations"]:
        if each["category_id"] == category:
            left, top, width, height = each["bbox"]
            at = truth[each["image_id"]]
            at["box"].append((left + 1, top + 1, left + width, top + height))  # xmin ymin xmax ymax
            at["difficult"].append(bool(each["difficult"]))
            at["detected"].append(False)
            num_positives += not each["difficult"]
    tp, fp = [], []
    for row in sorted((r for r in rows if r["category_id"] == category), key=lambda r: -r["score"]):
        left, top, width, height = row["bbox"]
        bb = (left + 1, top + 1, left + width, top + height)
        at, best, where = truth[row["image_id"]], -np.inf, -1
        for j, gt in enumerate(at["box"]):
            iw = min(bb[2], gt[2]) - max(bb[0], gt[0]) + 1
            ih = min(bb[3], gt[3]) - max(bb[1], gt[1]) + 1
            if iw > 0 and ih > 0:
                area = (bb[2] - bb[0] + 1) * (bb[3] - bb[1] + 1) + (gt[2] - gt[0] + 1) * (gt[3] - gt[1] + 1) - iw * ih
                if iw * ih / area > best:
                    best, where = iw * ih / area, j
        tp.append(0)
        fp.append(0)
        if best >= 0.5:
            if not at["difficult"][where]:
                if not at["detected"][where]:
                    tp[-1] = 1
                    at["detected"][where] = True
                else:
                    fp[-1] = 1
        else:
            fp[-1] = 1
    tps, fps = np.cumsum(tp), np.cumsum(fp)
    judged = np.maximum(tps + fps, 1)  # Matlab: 0 / 0 until the first that is judged
    recall = [0.0, *(tps / num_positives), 1.0]
    precision = [0.0, *(tps / judged), 0.0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    steps = [i for i in range(1, len(recall)) if recall[i] != recall[i - 1]]
    return float(sum((recall[i] - recall[i - 1]) * precision[i] for i in steps))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ap50_is_the_devkits(seed: int) -> None:
    content = voc_like(seed)
    task = VocDetection("voc-det", "VOC", as_images(content), Answers("detection", guesses(content)))
    predictions = json.loads(json.dumps(task.predict(*shown(30))))
    scores = task.score(predictions)
    rows = task.rows(predictions)
    expected = [devkit_ap(content, rows, category) for category in (2, 5, 7)]  # 9 has no objects
    assert scores["ap50"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert 0.1 < scores["ap50_low"] < scores["ap50"] < scores["ap50_high"] < 0.9


def test_coco_ap_leaves_difficult_objects_out_of_account(tmp_path: Any) -> None:
    """Without their marks it is COCO's own; a detection on a difficult object is then right, and else not judged."""
    content = voc_like(5)
    plain = {**content, "annotations": [{**each, "difficult": 0, "ignore": 0} for each in content["annotations"]]}
    scores = []
    for each in (content, plain):
        task = VocDetection("voc-det", "VOC", as_images(each), Answers("detection", guesses(content)))
        predictions = task.predict(*shown(30))
        scores.append(task.score(predictions))
    stats = plain_cocoeval(plain, task.rows(predictions), tmp_path).stats
    assert [scores[1]["ap"], scores[1]["coco_ap50"]] == [stats[0], stats[1]]
    assert scores[0]["ap"] != scores[1]["ap"]
    only_difficult = {**content, "annotations": [{**each, "difficult": 1} for each in content["annotations"]]}
    task = VocDetection("voc-det", "VOC", as_images(only_difficult), Answers("detection", []))
    assert np.isnan(task.score(predictions)["ap"]) and np.isnan(task.score(predictions)["ap50"])


def test_the_second_detection_of_an_object_is_false() -> None:
    """It counts against the detector even where it would fit another object less well, unlike COCO's matching."""
    content = voc_like(0)
    box = {"category_id": 2, "image_id": 1, "iscrowd": 0, "difficult": 0, "area": 10_000}
    content["annotations"] = [{"id": i, "bbox": [30.0 * (i - 1), 0, 100, 100], **box} for i in (1, 2)]
    task = VocDetection("voc-det", "VOC", as_images(content), Answers("detection", []))
    found = [{"bbox": [0.0, 0, 100, 100], "score": 0.9, "category_id": 2}] * 2
    scores = task.score([found, *[[]] * 29])
    assert scores["ap50"] == pytest.approx(0.5) and scores["coco_ap50"] > 0.9
