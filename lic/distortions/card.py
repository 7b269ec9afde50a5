"""What a distortion is, and what it declares of itself so that it can be chosen by name."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from lic.settings import require
from lic.settings.metrics import MetricsConfig

Measure = Callable[[Tensor, Tensor], Tensor]
"""Reconstruction, (N, 3, H, W), not clamped, and image, (N, 3, H, W), in [0, 1] -> (N,), 0 = identical."""


class Distortion(nn.Module):
    """A distortion and its scale.

    Attributes:
        name: its card's.
        scale: what it is multiplied with, so that a value of `lmbda` on CompressAI's MSE grid asks for about the same
            bits per pixel whatever the distortion.
        metric: the module whose device and mode follow the training; None where there is none.
        code_sha256: of a guest's file, which its scale was found for; empty for the house's.
    """

    def __init__(self, name: str, measure: Measure, scale: float, code_sha256: str = "") -> None:
        super().__init__()
        owner = measure if isinstance(measure, nn.Module) else getattr(measure, "__self__", None)
        self.name, self.measure, self.code_sha256 = name, measure, code_sha256
        self.scale = float(getattr(owner, "scale", scale))
        self.metric = owner if isinstance(owner, nn.Module) else None

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the unscaled distortion of each image, (N,).

        Raises:
            ValueError: it has another shape, which would be broadcast with the rates.
        """
        values = self.measure(reconstruction, image)
        expected = reconstruction.shape[:1]
        require(values.shape == expected, f"distortion {self.name} returns {tuple(values.shape)} for "
                                          f"{len(reconstruction)} images, not {tuple(expected)}")
        return values


@dataclass(frozen=True)
class DistortionCard:
    """What a distortion declares.

    Attributes:
        name: as `--distortion` takes it and results call it.
        scale: see `Distortion`; what is built may have a `scale` of its own, where it depends on settings.
        build: returns a function or module that measures, or a module's method.
    """

    name: str
    scale: float
    build: Callable[[MetricsConfig], Measure]

    def __post_init__(self) -> None:
        require(re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,63}", self.name, re.ASCII) is not None,
                f"a distortion's name is at most 64 letters, digits, . + - or _, got '{self.name}'")
        require(self.scale > 0, f"distortion {self.name} has the scale {self.scale}")
