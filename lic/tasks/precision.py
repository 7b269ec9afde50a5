"""Average precision with a weight for each image: of 200 resampled sets of images at once, without matching anew.

Which detection matches which object is decided within an image, so that drawing an image twice only counts its
detections and objects twice. Precision has its maxima, and recall its steps, at detections that are hits; the curves
need to be known at these only, which is what makes it fast.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

RECALLS = np.linspace(0, 1, 101)  # COCO's


class Matches(NamedTuple):
    """The detections of one category in all images, best score first, at T thresholds of overlap.

    Attributes:
        images: (D,), the position of each detection's image.
        is_hit: (T, D), whether it found an object that counts.
        is_ignored: (T, D), whether it is neither right nor wrong, such as one on a crowd.
        num_objects: (images,), objects that count in each image.
    """

    images: NDArray[np.int64]
    is_hit: NDArray[np.bool_]
    is_ignored: NDArray[np.bool_]
    num_objects: NDArray[np.int64]


def coco_matches(evaluation: COCOeval) -> list[Matches]:
    """Return what COCOeval.evaluate found, over objects of all sizes, by category."""
    num_images, num_areas = len(evaluation.params.imgIds), len(evaluation.params.areaRng)
    num_thresholds = len(evaluation.params.iouThrs)
    categories = []
    for k in range(len(evaluation.params.catIds)):
        start = k * num_areas * num_images  # the first of the areas is all
        seen = [(i, e) for i, e in enumerate(evaluation.evalImgs[start : start + num_images]) if e is not None]
        num_objects = np.zeros(num_images, np.int64)
        for i, each in seen:
            num_objects[i] = np.count_nonzero(each["gtIgnore"] == 0)
        scores = np.concatenate([[], *(each["dtScores"] for _, each in seen)])
        order = np.argsort(-scores, kind="mergesort")  # as COCOeval.accumulate
        images = np.repeat([i for i, _ in seen], [len(each["dtScores"]) for _, each in seen]).astype(np.int64)
        empty = np.zeros((num_thresholds, 0), bool)
        is_matched = np.concatenate([empty, *(each["dtMatches"] != 0 for _, each in seen)], 1)[:, order]
        is_ignored = np.concatenate([empty, *(each["dtIgnore"] for _, each in seen)], 1)[:, order]
        categories.append(Matches(images[order], is_matched & ~is_ignored, is_ignored, num_objects))
    return categories


_Summary = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Recall and highest precision at or beyond it, both (hits, sets) -> average precision (sets,)."""


def coco_precision(categories: Sequence[Matches], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return COCO's AP, as COCOeval.accumulate computes it, for each row of weights (sets, images); (sets,).

    A category without objects in a set does not count in it; a set without any is NaN.
    """
    return _over_categories(categories, weights, _at_recalls)


def voc_precision(categories: Sequence[Matches], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the same by VOC's rule since 2010: the area under the precision, made to fall with recall (VOCap.m)."""
    return _over_categories(categories, weights, _area)


def _over_categories(
    categories: Sequence[Matches], weights: NDArray[np.int64], summary: _Summary
) -> NDArray[np.float64]:
    by_image = np.ascontiguousarray(weights.T.astype(np.int32))
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for each in categories:
        num_objects = weights @ each.num_objects
        has_objects = num_objects > 0
        total += np.where(has_objects, _of_category(each, by_image, np.maximum(num_objects, 1), summary), 0)
        count += has_objects
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _of_category(
    matches: Matches, by_image: NDArray[np.int32], num_objects: NDArray[np.int64], summary: _Summary
) -> NDArray[np.float64]:
    """Return the average precision of one category, averaged over thresholds; weights come as (images, sets)."""
    drawn = by_image[matches.images]
    num_seen = drawn.cumsum(0, dtype=np.int32)
    values = []
    for is_hit, is_ignored in zip(matches.is_hit, matches.is_ignored, strict=True):
        hits, ignored = np.flatnonzero(is_hit), np.flatnonzero(is_ignored)
        num_found = drawn[hits].cumsum(0)
        num_ignored = np.pad(drawn[ignored].cumsum(0), ((1, 0), (0, 0)))
        num_judged = num_seen[hits] - num_ignored[np.searchsorted(ignored, hits)]
        precision = num_found / (num_judged + np.spacing(1))
        highest = np.maximum.accumulate(precision[::-1], 0)[::-1]
        values.append(summary(num_found / num_objects, highest))
    return np.mean(values, 0)  # type: ignore[no-any-return]  # numpy's stubs


def _at_recalls(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    precision = np.pad(precision, ((0, 1), (0, 0)))  # recalls that are never reached
    firsts = [np.searchsorted(each, RECALLS) for each in np.ascontiguousarray(recall.T)]
    return np.array([precision[first, i].mean() for i, first in enumerate(firsts)])


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    return (np.diff(recall, axis=0, prepend=0) * precision).sum(0)  # type: ignore[no-any-return]  # an untyped sum
