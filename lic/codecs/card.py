"""What a codec declares of itself, so that it can be chosen by name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from lic.settings import require

STRIDE = 64
"""Of CompressAI's hyper latents, in pixels."""


@dataclass(frozen=True)
class CodecCard:
    """What a codec declares.

    Attributes:
        name: as `--codec` takes it and results call it.
        build: returns the network, given `options` by keyword: a CompressAI model, or any module with the `forward`,
            `compress` and `decompress` of one.
        options: what `build` takes, with the published values. What is called `num_channels` (CompressAI's N) or
            `num_latent_channels` (M) is a setting on the command line.
        stride: of the last latent, in pixels: images are padded to multiples of it.
        has_grid: whether one checkpoint holds a grid of lmbdas, by the gains of CompressAI's variable-rate models
            (Kamisli et al. 2024, arXiv 2402.18930) or by rates of its own, as `dcvc-uf-intra` has them.
        can_tile: whether its `g_a` and `g_s` have stride 16 and may be applied tile by tile.
    """

    name: str
    build: Callable[..., nn.Module]
    options: Mapping[str, Any]
    stride: int = STRIDE
    has_grid: bool = False
    can_tile: bool = False

    def __post_init__(self) -> None:
        require(re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,63}", self.name, re.ASCII) is not None,
                f"a codec's name is at most 64 letters, digits, . + - or _, got '{self.name}'")
        require(isinstance(self.stride, int) and self.stride > 0, f"codec {self.name} has the stride {self.stride}")

    def choose(self, num_channels: int | None, num_latent_channels: int | None) -> dict[str, Any]:
        """Return the options, with the widths that are asked for.

        Raises:
            ValueError: the codec has no such width.
        """
        options = dict(self.options)
        asked = {"num_channels": num_channels, "num_latent_channels": num_latent_channels}
        if "num_latent_channels" not in options and num_latent_channels == num_channels:
            del asked["num_latent_channels"]  # M is N
        for key, value in asked.items():
            if value is not None:
                require(key in options, f"{self.name} takes no --{key}, but {', '.join(options) or 'no option'}")
                options[key] = value
        return options
