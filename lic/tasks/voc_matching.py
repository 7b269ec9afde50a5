"""Which detections are right by PASCAL VOC's rule."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from lic.tasks.precision import Matches

MIN_OVERLAP = 0.5

_Objects = Mapping[tuple[int, int], Sequence[dict[str, Any]]]


def voc_matches(
    objects: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    image_ids: Sequence[int],
    categories: Sequence[int],
) -> list[Matches]:
    """Return what the devkit's VOCevaldet.m makes of detections, by category (VOC2012 devkit, May 2012).

    The best detection first, each is compared with the object that it overlaps most. Under an overlap of .5 it is
    false; on a difficult object it is not judged; on an object that has been found already it is false.

    Args:
        objects: COCO annotations, `difficult` where VOC marks them. Boxes are [left, top, width, height] of the pixels'
            outer edges: left = xmin - 1 and width = xmax - xmin + 1, as VOC counts pixels from 1 and both ends in.
            For these the common intersection over union is the devkit's, with its + 1.
        rows: COCO results.
        image_ids: the images, all of which count.
        categories: their ids.
    """
    objects_at, rows_at = _by_place(objects), _by_place(rows)
    return [_of_category(objects_at, rows_at, image_ids, category) for category in categories]


def _by_place(items: Sequence[dict[str, Any]]) -> _Objects:
    places: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        places[item["image_id"], item["category_id"]].append(item)
    return places


def _of_category(objects_at: _Objects, rows_at: _Objects, image_ids: Sequence[int], category: int) -> Matches:
    num_objects = np.zeros(len(image_ids), np.int64)
    images: list[int] = []
    scores: list[float] = []
    verdicts: list[tuple[bool, bool]] = []
    for i, image_id in enumerate(image_ids):
        objects = objects_at.get((image_id, category), [])
        rows = sorted(rows_at.get((image_id, category), []), key=lambda row: -row["score"])
        is_difficult = [bool(each.get("difficult")) for each in objects]
        num_objects[i] = len(objects) - sum(is_difficult)
        images += [i] * len(rows)
        scores += [row["score"] for row in rows]
        verdicts += _judge([row["bbox"] for row in rows], [each["bbox"] for each in objects], is_difficult)
    order = np.argsort(-np.array(scores), kind="stable")
    is_hit, is_ignored = np.array(verdicts, bool).reshape(-1, 2)[order].T
    return Matches(np.array(images, np.int64)[order], is_hit[None], is_ignored[None], num_objects)


def _judge(
    found: Sequence[Sequence[float]], truth: Sequence[Sequence[float]], is_difficult: Sequence[bool]
) -> list[tuple[bool, bool]]:
    """Return for each detection of one image, best first, whether it is a hit and whether it is not judged."""
    if not found or not truth:
        return [(False, False)] * len(found)
    overlaps: NDArray[np.float64] = coco_mask.iou(found, truth, [0] * len(truth))
    is_taken = [False] * len(truth)
    verdicts = []
    for row in overlaps:
        best = int(row.argmax())
        is_hit = bool(row[best] >= MIN_OVERLAP) and not is_difficult[best] and not is_taken[best]
        verdicts.append((is_hit, bool(row[best] >= MIN_OVERLAP) and is_difficult[best]))
        is_taken[best] |= is_hit
    return verdicts
