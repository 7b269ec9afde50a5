"""What every task has in common: its images, a prediction for each image, a score for all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor


class Task(Protocol):
    """A task network and the labelled images that it is judged on.

    Attributes:
        name: its value on the command line, such as `coco-det`.
        dataset: what the images are, as results files and tables name them.
        images: their paths; no two alike.
    """

    name: str
    dataset: str
    images: list[Path]

    def predict(self, image: Tensor) -> list[Any]:
        """Return the network's prediction for each of (N, 3, H, W) images, RGB in [0, 1]."""
        ...

    def score(self, predictions: Sequence[Any]) -> dict[str, float]:
        """Return the scores, in [0, 1], of one prediction per image in the order of `images`."""
        ...
