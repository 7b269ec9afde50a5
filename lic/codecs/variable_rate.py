"""ELIC and MLIC++ at variable rate, by gains as CompressAI's `-vbr` models (Kamisli et al. 2024, arXiv 2402.18930).

A residual, latent minus predicted mean, is multiplied by the operating point's gain, an inverse step size, before it is
rounded, and divided by it afterwards: contexts and g_s see the latent in its own units at every rate. As there, a small
network says how far a symbol's reconstruction lies from it, and the entropy model is told the gain, here its logarithm;
transforms and hyper latent are the same for all rates. Our own code: CompressAI has these two at a single rate.
"""

from collections.abc import Sequence
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models import Elic2022Official
from torch import Tensor, nn

from lic.codecs.checkerboard import gather, scatter
from lic.codecs.mlicpp import MLICPlusPlus
from lic.codecs.part_by_part import CodePass, PartByPart

NUM_HIDDEN = 12  # of the network of offsets, as CompressAI's


class _VariableRate(PartByPart):
    """What a variable rate adds: parameters under CompressAI's names, and its arguments."""

    def __init__(self, N: int, M: int, **settings: Any) -> None:
        super().__init__(N, M, **settings)  # type: ignore[call-arg]  # the network comes after this class
        self.Gain = nn.Parameter(torch.ones(1), requires_grad=False)  # build_codec sets those of a grid
        self.lmbda, self.levels = [1.0], 1
        self.QuantABCD = nn.Sequential(
            nn.Linear(2, NUM_HIDDEN), nn.ReLU(), nn.Linear(NUM_HIDDEN, NUM_HIDDEN), nn.ReLU(), nn.Linear(NUM_HIDDEN, 1)
        )
        self.gain_to_side = nn.Linear(1, self.num_side_channels(N, M))
        nn.init.zeros_(self.gain_to_side.weight)
        nn.init.zeros_(self.gain_to_side.bias)

    def num_side_channels(self, N: int, M: int) -> int:
        """Return the channels of h_s's output."""
        raise NotImplementedError

    def side_at(self, side: Tensor, gain: Tensor | float) -> Tensor:
        """Return h_s's output (B, C, H / 16, W / 16) with what the gain adds to each channel."""
        if not isinstance(gain, Tensor):
            return side
        added: Tensor = self.gain_to_side(gain.log().view(1, 1))
        return side + added.view(1, -1, 1, 1)

    def gain_at(self, **point: Any) -> Tensor | float:
        """Return the gain at CompressAI's `inputscale`, which is one, or `s`, of the grid; 1 in `stage` 1."""
        if point.get("stage") == 1:
            return 1.0
        gain: Tensor = point["inputscale"] if "inputscale" in point else self.Gain[point["s"]].detach()
        return gain

    def dequantise(self, symbols: Tensor, scales: Tensor, gain: Tensor | float) -> Tensor:
        """Return the residuals of symbols: those that are not 0 lie an offset nearer to it."""
        if isinstance(gain, Tensor):
            model = self.gaussian(0)
            seen = torch.stack((model.lower_bound_scale(scales), gain.expand(scales.shape)), -1)
            symbols = symbols - symbols.detach().sign() * self.QuantABCD(seen).squeeze(-1)
        return symbols / gain


class MLICPlusPlusVbr(_VariableRate, MLICPlusPlus):
    """MLIC++ at variable rate; predicted residuals are shares of the step size."""

    def num_side_channels(self, N: int, M: int) -> int:
        """Return the channels of h_s's output."""
        return 2 * M


class Elic2022OfficialVbr(_VariableRate, Elic2022Official):  # type: ignore[misc]  # CompressAI has no types
    """ELIC (He et al. 2022, arXiv 2203.10886) at variable rate, on CompressAI's modules and their names."""

    def num_side_channels(self, N: int, M: int) -> int:
        """Return the channels of h_s's output."""
        return 2 * N

    def sizes(self) -> Sequence[int]:
        """Return the channels of each group."""
        sizes: list[int] = self.groups
        return sizes

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """Return the hyper latent (B, N, H / 64, W / 64) of a latent (B, M, H / 16, W / 16)."""
        z: Tensor = self.latent_codec["hyper"].h_a(y)
        return z

    def bottleneck(self) -> EntropyBottleneck:
        """Return the hyper latent's entropy model."""
        return self.latent_codec["hyper"].entropy_bottleneck

    def gaussian(self, group: int) -> GaussianConditional:
        """Return the entropy model of a group."""
        return self.latent_codec["y"][f"y{group}"]["y"].gaussian_conditional

    def decode_latent(self, z_hat: Tensor, code: CodePass, gain: Tensor | float) -> Tensor:
        """Return the decoder's latent: of each group first the even colour, then the odd one given the even."""
        side = self.side_at(self.latent_codec["hyper"].h_s(z_hat), gain)
        groups, decoded = self.latent_codec["y"], list[Tensor]()
        for index in range(len(self.groups)):
            known = side
            if decoded:
                known = torch.cat([groups.channel_context[f"y{index}"](torch.cat(decoded, 1)), side], 1)
            board = side.new_zeros(len(side), self.groups[index], *side.shape[2:])
            for parity in (0, 1):
                around = gather(groups[f"y{index}"].context_prediction(board), parity)
                if parity == 0:
                    around = torch.zeros_like(around)  # nothing is known, and the network's bias is not added
                given = torch.cat([around, gather(known, parity)], 1)
                scales, means = groups[f"y{index}"].entropy_parameters(given).chunk(2, 1)
                board = board + scatter(code(index, parity, scales, means), parity)
            decoded.append(board)
        return torch.cat(decoded, 1)
