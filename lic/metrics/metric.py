"""What a metric is, and what it declares of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from lic.distortions.pair import check_sizes
from lic.settings.metrics import MetricsConfig


@dataclass(frozen=True)
class MetricCard:
    """What a metric declares.

    Attributes:
        name: as `--metric` takes it.
        title: as tables print it.
        reference: full: it compares with the undistorted image; none: it looks at one image alone.
        better: the direction of quality.
        build: the argument behind the name's colon and the settings -> the metric.
        takes_argument: whether there may be one; else it is "".
        lowest, highest: its range.
        is_differentiable: whether gradients reach the image, so that it may be a `--distortion` if full-reference.
        weights: where its weights come from; "none" if it has none.
        locate: where the file of its default weights belongs, and where it comes from; None if there is none.
        licence: of code and weights as they are used here.
        source: the paper.
    """

    name: str
    title: str
    reference: Literal["full", "none"]
    better: Literal["higher", "lower"]
    build: Callable[[str, MetricsConfig], "Metric"]
    takes_argument: bool = False
    lowest: float = -inf
    highest: float = inf
    is_differentiable: bool = False
    weights: str = "none"
    locate: Callable[[], tuple[Path, str]] | None = None
    licence: str = ""
    source: str = ""

    @property
    def is_here(self) -> bool | None:
        """Whether the default weights are on this machine; None if it has none."""
        return None if self.locate is None else self.locate()[0].is_file()

    @property
    def how_to_get(self) -> str:
        """The line that says which file of weights is wanted, from where, and where to put it."""
        assert self.locate is not None, "a metric without weights"
        path, source = self.locate()
        return f"{path.name} from {source}, into {path.parent}"


class Metric(nn.Module):
    """A measure of images, frozen and in eval mode.

        metric(image, reference)                    # (N, 3, H, W) twice -> (N,)
        seen = metric.prepare(reference)            # (1, 3, H, W), once
        metric.measure(images, seen)                # for any number of its distortions

    Attributes:
        card: what it declares.
        title: as tables print it; tells variants of one metric apart.
        code_sha256: of a guest's file, as which what is on record of it holds; empty for the house's.
    """

    code_sha256: str = ""

    def __init__(self, card: MetricCard, title: str | None = None) -> None:
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
        """Return the value of each image, (N,).

        Raises:
            ValueError: in one line: sizes that do not fit, other than RGB, plainly not in [0, 1].
        """
        check_images(image, image if reference is None else reference)
        return self.measure(image, self.prepare(reference))


def check_images(image: Tensor, reference: Tensor) -> None:
    """Refuse images whose values would mean nothing: other sizes, channels or ranges than `forward` expects.

    A reconstruction may leave [0, 1] a little; 0 .. 255 and -1 .. 1 are mistakes that clamping would hide.
    """
    check_sizes(image, reference)
    for one in (image, reference):
        lowest, highest = (value.item() for value in one.detach().aminmax())
        if not (one.is_floating_point() and lowest >= -0.5 and highest <= 1.5):
            raise ValueError(f"images must be RGB in [0, 1], got {one.dtype} in {lowest:g} .. {highest:g}")
