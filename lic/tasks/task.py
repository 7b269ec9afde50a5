"""What every task has in common: its images, a prediction for each image, scores for all."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from lic.backbones.networks import Network
from lic.curves.facts import Facts


class Task(Protocol):
    """A task network and the images that it is judged on.

    Attributes:
        name: as in results files: `coco-det`, or `coco-det@NETWORK` where several networks judge one task.
        dataset: what the images are, as results files and tables name them.
        images: their paths; no two alike.
        network: the network's name.
        fingerprint: changes with whatever predictions depend on: network, weights, preprocessing.
        classes: names by the ids that predictions use.
        facts: how its scores are shown; `build_tasks` sets them, as the card has them.
        is_resized: whether pictures are shown at other sizes than their files'; `build_tasks` sets it, too.
    """

    name: str
    dataset: str
    images: list[Path]
    network: str
    fingerprint: str
    classes: dict[int, str]
    facts: Facts
    is_resized: bool

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[Any]:
        """Return the prediction for each of (N, 3, H, W) images, RGB in [0, 1], as JSON can hold it.

        What is shown are the decoded images; their originals' paths, of `self.images`, say which ones they are.

        Classification: {"top5": [ids, best first]}, with "log_probabilities" where consistency is asked for.
        Detection and instances: COCO's results without the image id: [{"bbox": [left, top, width, height], "score",
        "category_id", "segmentation": {"size", "counts"} for instances}]. Semantic: {"png": base64 of a PNG of ids}.
        Whatever else it is, report and W&B show it as text.
        """
        ...

    def score(self, predictions: Sequence[Any], originals: Sequence[Any]) -> dict[str, Any]:
        """Return scores in [0, 1], and what lic/tasks/bootstrap.py says of the headline: `top1_low`, `top1_high` and
        `top1_replicates`, the headline of each set of drawn images.

        Args:
            predictions: one per image, in the order of `images`.
            originals: those on the uncompressed images, which consistency compares with; labels need them not.
        """
        ...


def fingerprint(network: Network, meaning: str) -> str:
    """Return a SHA-256 of what a task's predictions depend on.

    Args:
        network: whose predictions they are.
        meaning: what is kept of its output, and how it is renamed.
    """
    return hashlib.sha256(f"{network.fingerprint} {meaning}".encode()).hexdigest()
