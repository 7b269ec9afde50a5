"""How near a network's prediction on a distorted image is to its own on the reference: at most 1, which is the same.

| task | consistency |
|---|---|
| classification | 1 - the Jensen-Shannon divergence of the class distributions, in bits (Lin 1991) |
| detection | F1 of matched boxes, each match counting by overlap and score; see `box_consistency` |
| segmentation | intersection over union of the classes by pixel, mean over the classes of either |
| embedding | the cosine of the embeddings |

A consistency is symmetric: reference and distorted image could change places.
"""

from collections.abc import Mapping
from typing import Any, Literal, assert_never

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

Task = Literal["classification", "detection", "segmentation", "embedding"]

MIN_SCORE = 0.05
"""Boxes of lower scores, of which YOLOX answers with hundreds, are not looked at."""


def consistency(task: Task, ours: Any, theirs: Any) -> float:
    """Return how near two answers of a network of a task are, as `Voter.predict` gives them."""
    match task:
        case "classification":
            return class_consistency(ours, theirs)
        case "detection":
            return box_consistency(ours, theirs)
        case "segmentation":
            return map_consistency(ours, theirs)
        case "embedding":
            return embedding_consistency(ours, theirs)
        case _:
            assert_never(task)


def class_consistency(ours: Tensor, theirs: Tensor) -> float:
    """Return 1 - the Jensen-Shannon divergence in bits, in [0, 1], of two distributions given as logits (C,)."""
    p, q = (logits.double().softmax(0) for logits in (ours, theirs))
    middle = (p + q) / 2
    divergence = sum(float((each * (each / middle).log2().nan_to_num(0)).sum()) for each in (p, q)) / 2
    return 1 - divergence


def box_consistency(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """Return 2 sum over matches of IoU * min(score, score') / sum of all scores, in [0, 1]; 1 if neither shows any.

    Boxes of a class are matched one to one so that the sum is largest. It is the F1 score, 2 TP / (found + true), with
    boxes that count by their scores and hits that count by their overlap: a box that moves, fades, goes or comes lowers
    it by as much.

    Args:
        ours, theirs: {"boxes": (n, 4) as x0 y0 x1 y1, "scores": (n,), "labels": (n,)}.
    """
    left, right = ({name: values[found["scores"] >= MIN_SCORE] for name, values in found.items()
                    if name in ("boxes", "scores", "labels")} for found in (ours, theirs))  # fmt: skip
    total = float(left["scores"].double().sum() + right["scores"].double().sum())
    if total == 0:
        return 1.0
    if len(left["scores"]) == 0 or len(right["scores"]) == 0:
        return 0.0
    same_class = left["labels"][:, None] == right["labels"]
    lower = left["scores"][:, None].minimum(right["scores"])
    gain = (box_iou(left["boxes"], right["boxes"]) * lower * same_class).double().numpy()
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return 2 * float(gain[rows, columns].sum()) / total


def map_consistency(ours: Tensor, theirs: Tensor) -> float:
    """Return the mean intersection over union, in [0, 1], of the classes that occur in either of two maps (H, W)."""
    left, right = (classes.numpy().reshape(-1).astype(np.int64) for classes in (ours, theirs))
    size = int(max(left.max(), right.max())) + 1
    both = np.bincount(left[left == right], minlength=size)
    either = np.bincount(left, minlength=size) + np.bincount(right, minlength=size) - both
    return float((both[either > 0] / either[either > 0]).mean())


def embedding_consistency(ours: Tensor, theirs: Tensor) -> float:
    """Return the cosine of two embeddings (D,), in [-1, 1]."""
    left, right = ours.double(), theirs.double()
    return float(left @ right / (left.norm() * right.norm()).clamp(min=1e-12))
