"""Consistencies on hand-made answers, and against scipy and torchmetrics."""

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor
from torchmetrics.functional.segmentation import mean_iou

from lic.preferences.pcmp.agreement import (
    box_consistency,
    class_consistency,
    consistency,
    embedding_consistency,
    map_consistency,
)

GENERATOR = torch.Generator().manual_seed(0)


def boxes(*rows: tuple[float, float, float, float, float, int]) -> dict[str, Tensor]:
    """Answers of x0, y0, x1, y1, score, label."""
    table = torch.tensor(rows).reshape(-1, 6)
    return {"boxes": table[:, :4], "scores": table[:, 4], "labels": table[:, 5].long()}


def test_classes_are_scipy_s_jensen_shannon() -> None:
    ours, theirs = torch.randn(2, 10, generator=GENERATOR) * 3
    distance = jensenshannon(ours.double().softmax(0), theirs.double().softmax(0), base=2)
    assert class_consistency(ours, theirs) == pytest.approx(1 - distance**2, abs=1e-9)
    assert class_consistency(ours, theirs) == pytest.approx(class_consistency(theirs, ours))


def test_classes_reach_both_ends() -> None:
    certain = torch.tensor([1e4, 0.0, 0.0])
    assert class_consistency(certain, certain) == 1
    assert class_consistency(certain, certain.flip(0)) == 0


def test_boxes_by_hand() -> None:
    one = boxes((0, 0, 10, 10, 0.8, 1))
    assert box_consistency(one, one) == pytest.approx(1)
    assert box_consistency(one, boxes((0, 0, 10, 5, 0.8, 1))) == pytest.approx(0.5)  # IoU one half
    assert box_consistency(one, boxes((0, 0, 10, 10, 0.8, 2))) == 0  # another class
    assert box_consistency(one, boxes((0, 0, 10, 10, 0.4, 1))) == pytest.approx(2 * 0.4 / 1.2)  # it fades
    assert box_consistency(one, boxes()) == 0
    assert box_consistency(boxes(), boxes((0, 0, 5, 5, 0.01, 1))) == 1  # nothing worth looking at on either
    doubled = boxes((0, 0, 10, 10, 0.8, 1), (0, 0, 10, 10, 0.8, 1))
    assert box_consistency(one, doubled) == pytest.approx(2 * 0.8 / 2.4)  # the double matches nothing


def test_boxes_are_matched_so_that_the_sum_is_largest() -> None:
    ours = boxes((0, 0, 10, 10, 1, 1), (0, 0, 10, 8, 1, 1))
    theirs = boxes((0, 0, 10, 9, 1, 1), (0, 0, 10, 20, 1, 1))
    # 0.9 + 0.4 = 1.3 the straight way, 8/9 + 0.5 the crossed one
    assert box_consistency(ours, theirs) == pytest.approx(2 * (8 / 9 + 0.5) / 4)


def test_maps_are_the_mean_iou_of_the_classes_that_occur() -> None:
    left, right = torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.uint8)
    left[:2], right[:1] = 7, 7
    assert map_consistency(left, right) == pytest.approx((4 / 8 + 8 / 12) / 2)
    ours, theirs = torch.randint(0, 4, (2, 16, 16), generator=GENERATOR)
    expected = mean_iou(ours[None], theirs[None], num_classes=4, input_format="index", per_class=False)
    assert map_consistency(ours, theirs) == pytest.approx(float(expected), abs=1e-6)
    assert map_consistency(ours, ours) == 1


def test_embeddings_are_cosines() -> None:
    one = torch.tensor([3.0, 4.0])
    assert embedding_consistency(one, 5 * one) == pytest.approx(1)
    assert embedding_consistency(one, torch.tensor([4.0, -3.0])) == pytest.approx(0)
    assert consistency("embedding", one, -one) == pytest.approx(-1)
