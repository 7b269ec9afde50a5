"""Codec names -> architectures, with their published widths."""

import math
from collections.abc import Sequence
from typing import assert_never

import torch
from compressai.models import (
    Cheng2020AnchorCheckerboard,
    CompressionModel,
    Elic2022Chandelier,
    Elic2022Official,
    FactorizedPrior,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from compressai.models.vbr import MeanScaleHyperpriorVbr, ScaleHyperpriorVbr
from torch import nn

from lic.codecs.autoregressive import ChengAnchor, ChengAttention, Mbt2018, Mbt2018Vbr
from lic.codecs.codec import Codec
from lic.codecs.mlicpp import MLICPlusPlus
from lic.settings import require
from lic.settings.names import CodecName


def published_widths(name: CodecName) -> tuple[int, int]:
    """Return CompressAI's N and M: of the lower rates where its zoo has two sizes."""
    match name:
        case "bmshj2018-factorized" | "bmshj2018-hyperprior" | "mbt2018-mean":
            return 128, 192
        case "cheng2020-anchor" | "cheng2020-attn":
            return 128, 128
        case "mbt2018" | "cheng2020-anchor-checkerboard":
            return 192, 192
        case "elic2022-official" | "elic2022-chandelier" | "mlicpp":
            return 192, 320
        case "bmshj2018-hyperprior-vbr" | "mbt2018-mean-vbr" | "mbt2018-vbr":
            return 192, 320
        case _:
            assert_never(name)


def has_one_width(name: CodecName) -> bool:
    """Return whether the codec's latent is as wide as its layers (M = N)."""
    return name.startswith("cheng2020")


def middle(lmbda: Sequence[float]) -> float:
    """Return a grid's geometric mean: where a variable-rate codec's gain is 1 and its first stage trains."""
    return math.exp(sum(map(math.log, lmbda)) / len(lmbda))


def is_variable_rate(name: CodecName) -> bool:
    """Return whether one checkpoint of the codec holds a grid of lmbdas."""
    return name.endswith("-vbr")


def build_codec(name: CodecName, num_channels: int, num_latent_channels: int, lmbda: Sequence[float] = ()) -> Codec:
    """Return an untrained codec.

    Args:
        name: see `_network`.
        num_channels: CompressAI's N, channels between the layers.
        num_latent_channels: CompressAI's M, channels of the latent.
        lmbda: a variable-rate codec's grid. Others have none.

    Raises:
        ValueError: widths that the architecture cannot have.
    """
    require(not has_one_width(name) or num_channels == num_latent_channels,
            f"{name} has as many latent channels as others: give --num_channels and --num_latent_channels alike, "
            f"got {num_channels} and {num_latent_channels}")
    network = _network(name, num_channels, num_latent_channels)
    if not is_variable_rate(name):
        return Codec(network)
    gains = (torch.tensor(lmbda) / middle(lmbda)).sqrt()  # the mse-optimal step's law, as in CompressAI's eight values
    network.Gain = nn.Parameter(gains, requires_grad=False)  # CompressAI never trains them
    network.lmbda, network.levels = list(lmbda), len(lmbda)
    for parameter in network.QuantABCD[-1].parameters():
        nn.init.zeros_(parameter)  # no offset of the quantiser until one is learnt
    return Codec(network, lmbda)


def _network(name: CodecName, n: int, m: int) -> CompressionModel:
    match name:
        case "bmshj2018-factorized":  # Ballé et al. 2018, arXiv 1802.01436
            return FactorizedPrior(n, m)
        case "bmshj2018-hyperprior":
            return ScaleHyperprior(n, m)
        case "mbt2018-mean":  # Minnen et al. 2018, arXiv 1809.02736; without the autoregressive context
            return MeanScaleHyperprior(n, m)
        case "mbt2018":
            return Mbt2018(n, m)
        case "cheng2020-anchor":  # Cheng et al. 2020, arXiv 2001.01568
            return ChengAnchor(n)
        case "cheng2020-attn":
            return ChengAttention(n)
        case "cheng2020-anchor-checkerboard":  # He et al. 2021, arXiv 2103.15306
            return Cheng2020AnchorCheckerboard(n)
        case "elic2022-official":  # He et al. 2022, arXiv 2203.10886
            return Elic2022Official(n, m, groups=_elic_groups(m))
        case "elic2022-chandelier":
            return Elic2022Chandelier(n, m, groups=_elic_groups(m))
        case "bmshj2018-hyperprior-vbr":  # Kamisli et al. 2024, arXiv 2402.18930
            return ScaleHyperpriorVbr(n, m)
        case "mbt2018-mean-vbr":
            return MeanScaleHyperpriorVbr(n, m)
        case "mbt2018-vbr":
            return Mbt2018Vbr(n, m)
        case "mlicpp":  # Jiang et al. 2023, arXiv 2307.15421
            return MLICPlusPlus(n, m)
        case _:
            assert_never(name)


def _elic_groups(m: int) -> list[int]:
    """Return the channels of ELIC's five groups: 16, 16, 32, 64 and the rest of 320, in proportion below that."""
    first = [16, 16, 32, 64] if m >= 320 else [max(m * size // 320, 1) for size in (16, 16, 32, 64)]
    return [*first, m - sum(first)]
