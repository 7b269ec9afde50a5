"""Weighted AP equals COCOeval's on the set, and on literally resampled sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.tasks.bootstrap import draw_weights
from lic.tasks.detection import to_coco
from lic.tasks.precision import coco_matches, coco_precision, voc_precision
from lic.tasks.voc_matching import voc_matches
from tests.tasks.scripted import guesses, plain_cocoeval, synthetic_coco


def rows_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    found = zip(content["images"], guesses(content), strict=True)
    return [{"image_id": image["id"], **row} for image, each in found for row in to_coco(each, None)]


def resampled(items: list[dict[str, Any]], key: str, counts: dict[int, int]) -> list[dict[str, Any]]:
    """Items again for each time that their image was drawn, under new image ids."""
    return [{**item, key: 1000 * item[key] + copy} for item in items for copy in range(counts[item[key]])]


def test_all_weights_1_are_the_set(tmp_path: Path) -> None:
    content = synthetic_coco(30, seed=4)
    evaluation = plain_cocoeval(content, rows_of(content), tmp_path)
    value = coco_precision(coco_matches(evaluation), np.ones((1, 30), np.int64))
    assert value[0] == pytest.approx(evaluation.stats[0], abs=1e-12) and 0.1 < value[0] < 0.9


def test_weights_are_a_literally_resampled_set(tmp_path: Path) -> None:
    content = synthetic_coco(25, seed=2)
    rows = rows_of(content)
    weights = draw_weights(25)[:6]
    weights[5] = [25] + [0] * 24  # one image only
    values = coco_precision(coco_matches(plain_cocoeval(content, rows, tmp_path)), weights)
    for drawn, value in zip(weights, values, strict=True):
        counts = {image["id"]: int(count) for image, count in zip(content["images"], drawn, strict=True)}
        objects = resampled(content["annotations"], "image_id", counts)
        again = {**content, "images": resampled(content["images"], "id", counts),
                 "annotations": [{**each, "id": i} for i, each in enumerate(objects, start=1)]}  # fmt: skip
        expected = plain_cocoeval(again, resampled(rows, "image_id", counts), tmp_path).stats[0]
        assert value == pytest.approx(expected, abs=1e-12)
    assert len(set(values.round(6))) == 6


def test_sets_without_objects_are_nan(tmp_path: Path) -> None:
    content = synthetic_coco(20)
    evaluation = plain_cocoeval(content, rows_of(content), tmp_path)
    only_the_empty_image = np.array([[0] * 19 + [20]])
    assert np.isnan(coco_precision(coco_matches(evaluation), only_the_empty_image)).all()


def test_voc_weights_are_a_literally_resampled_set() -> None:
    content = synthetic_coco(25, seed=3)
    rows, ids, categories = rows_of(content), list(range(1, 26)), [2, 5, 7, 9]
    weights = draw_weights(25)[:4]
    values = voc_precision(voc_matches(content["annotations"], rows, ids, categories), weights)
    for drawn, value in zip(weights, values, strict=True):
        counts = dict(zip(ids, map(int, drawn), strict=True))
        again = [each["id"] for each in resampled([{"id": i} for i in ids], "id", counts)]
        objects, found = (resampled(items, "image_id", counts) for items in (content["annotations"], rows))
        matches = voc_matches(objects, found, again, categories)
        assert voc_precision(matches, np.ones((1, len(again)), np.int64))[0] == pytest.approx(value, abs=1e-12)
