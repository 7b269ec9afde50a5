"""What a metric is, and what it declares of itself."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from lic.config import MetricName


@dataclass(frozen=True)
class Card:
    """What a metric declares.

    Attributes:
        name: as `--metrics` takes it.
        title: as tables print it.
        reference: full: it compares with the undistorted image; none: it looks at one image alone.
        better: the direction of quality.
        lowest, highest: its range.
        is_differentiable: whether gradients reach the image, so that it may be a `--distortion` if full-reference.
        weights: where its weights come from; "none" if it has none.
        licence: of code and weights as they are used here.
        source: the paper.
    """

    name: MetricName
    title: str
    reference: Literal["full", "none"]
    better: Literal["higher", "lower"]
    lowest: float
    highest: float
    is_differentiable: bool
    weights: str
    licence: str
    source: str


class Metric(nn.Module):
    """A measure of images, frozen and in eval mode.

        metric(image, reference)                    # (N, 3, H, W) twice -> (N,)
        seen = metric.prepare(reference)            # (1, 3, H, W), once
        metric.measure(images, seen)                # for any number of its distortions

    Attributes:
        card: what it declares.
        title: as tables print it; tells variants of one metric apart.
    """

    def __init__(self, card: Card, title: str | None = None) -> None:
        super().__init__()
        self.card = card
        self.title = title or card.title

    def prepare(self, reference: Tensor | None) -> Any:
        """Return what is needed of references, (N, 3, H, W) or (1, 3, H, W) for many images, RGB in [0, 1]."""
        return reference

    def measure(self, image: Tensor, seen: Any) -> Tensor:
        """Return the value of each image, (N,), float32; `seen` is what `prepare` made of its reference.

        Args:
            image: (N, 3, H, W), RGB in [0, 1].
        """
        raise NotImplementedError

    def forward(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        """Return the value of each image, (N,)."""
        return self.measure(image, self.prepare(reference))
