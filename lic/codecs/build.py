"""Codec names -> architectures, with their published widths."""

from collections.abc import Mapping, Sequence
from typing import Any

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
from lic.codecs.card import STRIDE, CodecCard
from lic.codecs.codec import Codec
from lic.codecs.dcvc import DCVCUFIntra
from lic.codecs.mlicpp import MLICPlusPlus, MLICPlusPlusOld
from lic.codecs.rates import middle
from lic.codecs.upstream import UPSTREAM, upstream_card
from lic.codecs.variable_rate import Elic2022OfficialVbr, MLICPlusPlusVbr
from lic.guests import find_card
from lic.settings import require


def _card(
    name: str, network: type[CompressionModel], n: int, m: int | None = None, has_grid: bool = False,
    stride: int = STRIDE,
) -> CodecCard:  # fmt: skip
    """Return the card of a class that takes CompressAI's N and M; without M, the latent is as wide as the layers."""

    def build(num_channels: int, num_latent_channels: int | None = None) -> CompressionModel:
        if num_latent_channels is None:
            return network(num_channels)
        groups = {"groups": _elic_groups(num_latent_channels)} if name.startswith("elic2022") else {}
        return network(num_channels, num_latent_channels, **groups)

    options = {"num_channels": n} if m is None else {"num_channels": n, "num_latent_channels": m}
    return CodecCard(name, build, options, stride, has_grid, can_tile=True)


CARDS = (
    _card("bmshj2018-factorized", FactorizedPrior, 128, 192),  # Ballé et al. 2018, arXiv 1802.01436
    _card("bmshj2018-hyperprior", ScaleHyperprior, 128, 192),
    _card("mbt2018-mean", MeanScaleHyperprior, 128, 192),  # Minnen et al. 2018, arXiv 1809.02736; without the context
    _card("mbt2018", Mbt2018, 192, 192),
    _card("cheng2020-anchor", ChengAnchor, 128),  # Cheng et al. 2020, arXiv 2001.01568
    _card("cheng2020-attn", ChengAttention, 128),
    _card("cheng2020-anchor-checkerboard", Cheng2020AnchorCheckerboard, 192),  # He et al. 2021, arXiv 2103.15306
    _card("elic2022-official", Elic2022Official, 192, 320),  # He et al. 2022, arXiv 2203.10886
    _card("elic2022-chandelier", Elic2022Chandelier, 192, 320),
    _card("mlicpp", MLICPlusPlus, 192, 320),  # Jiang et al. 2023, arXiv 2307.15421
    _card("mlicpp-old", MLICPlusPlusOld, 192, 320),
    _card("bmshj2018-hyperprior-vbr", ScaleHyperpriorVbr, 192, 320, True),  # Kamisli et al. 2024, arXiv 2402.18930
    _card("mbt2018-mean-vbr", MeanScaleHyperpriorVbr, 192, 320, True),
    _card("mbt2018-vbr", Mbt2018Vbr, 192, 320, True),
    _card("elic2022-official-vbr", Elic2022OfficialVbr, 192, 320, True),
    _card("mlicpp-vbr", MLICPlusPlusVbr, 192, 320, True),
    _card("dcvc-uf-intra", DCVCUFIntra, 384, 256, True, 16),  # CVPR 2026, arXiv 2606.04410
)
"""The house's own, with the widths of the lower rates where CompressAI's zoo has two sizes."""


def codec_card(name: str) -> CodecCard:
    """Return the card of a codec's name, of one that CompressAI has, or of a guest's file."""
    return upstream_card(name) if name in UPSTREAM else find_card("codec", name, CARDS, CodecCard)


def build_codec(
    name: str, num_channels: int | None = None, num_latent_channels: int | None = None, lmbda: Sequence[float] = ()
) -> Codec:
    """Return an untrained codec.

    Args:
        name: one of the house's, or a guest's file.
        num_channels: CompressAI's N, channels between the layers; None: as published.
        num_latent_channels: CompressAI's M, channels of the latent; None: as published.
        lmbda: a variable-rate codec's grid. Others have none.

    Raises:
        ValueError: in one line: no such codec, or widths that the architecture cannot have.
    """
    card = codec_card(name)
    return build_from(card, card.choose(num_channels, num_latent_channels), lmbda)


def build_from(card: CodecCard, options: Mapping[str, Any], lmbda: Sequence[float]) -> Codec:
    """Return the untrained codec of a card and its options; see `build_codec`.

    Raises:
        ValueError: in one line: options that the card does not have.
    """
    require(options.keys() == card.options.keys(), f"codec {card.name} takes {', '.join(card.options) or 'no option'}; "
                                                   f"it is given {', '.join(options) or 'none'}")  # fmt: skip
    network: Any = card.build(**options)
    has_own_rates = hasattr(network, "num_rates")
    if card.has_grid and not has_own_rates:
        _give_gains(network, lmbda)
    codec = Codec(network, lmbda if card.has_grid else (), card.stride, card.can_tile)
    if has_own_rates:
        network.spread_gains(codec.rates)
    return codec


def _give_gains(network: Any, lmbda: Sequence[float]) -> None:
    gains = (torch.tensor(lmbda) / middle(lmbda)).sqrt()  # the mse-optimal step's law, as in CompressAI's eight values
    network.Gain = nn.Parameter(gains, requires_grad=False)  # CompressAI never trains them
    network.lmbda, network.levels = list(lmbda), len(lmbda)
    for parameter in network.QuantABCD[-1].parameters():
        nn.init.zeros_(parameter)  # no offset of the quantiser until one is learnt


def _elic_groups(m: int) -> list[int]:
    """Return the channels of ELIC's five groups: 16, 16, 32, 64 and the rest of 320, in proportion below that."""
    first = [16, 16, 32, 64] if m >= 320 else [max(m * size // 320, 1) for size in (16, 16, 32, 64)]
    return [*first, m - sum(first)]
