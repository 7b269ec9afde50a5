"""MLIC++ (Jiang et al. 2023, arXiv 2307.15421), our own code on CompressAI's layers and entropy models.

Weights of the official implementation (github.com/JiangWeibeta/MLIC, Apache-2.0) load through `lic.codecs.convert`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models import CompressionModel
from torch import Tensor, nn

from lic.codecs import mlicpp_transforms as transforms
from lic.codecs.checkerboard import gather, scatter
from lic.codecs.mlicpp_context import (
    ANCHOR,
    NON_ANCHOR,
    SLICE,
    GlobalInterContext,
    GlobalIntraContext,
    LocalContext,
    Windows,
    channel_context,
    entropy_parameters,
    residual_prediction,
    residual_prediction_old,
    windows_of,
)
from lic.codecs.part_by_part import CodePass, PartByPart


class Side(NamedTuple):
    """What the hyper latent says about the latent.

    Attributes:
        means: (B, M, H, W), the half of h_s's output that residual prediction sees.
        halves: h_s's output (B, 2 M, H, W / 2) at non-anchors and at anchors.
        windows: of the latent's board.
        step: of the quantiser, which bounds what rounding took away.
    """

    means: Tensor
    halves: tuple[Tensor, Tensor]
    windows: Windows
    step: Tensor | float


class Slice(nn.Module):
    """The entropy model of one slice: contexts, the parameters of two passes, residual prediction."""

    def __init__(self, index: int, num_latent_channels: int, window: int, is_old: bool) -> None:
        super().__init__()
        self.index = index
        side, across = 2 * num_latent_channels, SLICE * 6 if index else 0
        if index:
            self.channel_context = channel_context(index)
            self.global_inter_context = GlobalInterContext(index)
            self.global_intra_context = GlobalIntraContext()
        self.local_context = LocalContext(window)
        inside = SLICE * 4 if index else SLICE * 2
        self.entropy_parameters_anchor = entropy_parameters(side + across)
        self.entropy_parameters_nonanchor = entropy_parameters(side + across + inside)
        predict = residual_prediction_old if is_old else residual_prediction
        self.lrp_anchor = predict(num_latent_channels + SLICE * (index + 1))
        self.lrp_nonanchor = predict(num_latent_channels + SLICE * (index + 1))

    def forward(self, side: Side, previous: list[Tensor], code: CodePass) -> Tensor:
        """Return the decoded slice, (B, 32, H, W).

        Args:
            side: from the hyper latent.
            previous: the decoded slices before, (B, 32, H, W) each.
            code: estimates, encodes or decodes a half.
        """
        across = self._across(previous)
        known = torch.cat([side.means, *previous], 1)
        contexts = [gather(context, ANCHOR) for context in across]
        parameters = self.entropy_parameters_anchor(torch.cat([*contexts, side.halves[ANCHOR]], 1))
        board = scatter(code(self.index, ANCHOR, *parameters.chunk(2, 1)), ANCHOR)
        board = board + side.step * _predict(self.lrp_anchor, known, board, ANCHOR)
        contexts = [self.local_context(board, side.windows)]
        if previous:
            contexts.append(self.global_intra_context(previous[-1], board))
        contexts += [gather(context, NON_ANCHOR) for context in across]
        parameters = self.entropy_parameters_nonanchor(torch.cat([*contexts, side.halves[NON_ANCHOR]], 1))
        board = board + scatter(code(self.index, NON_ANCHOR, *parameters.chunk(2, 1)), NON_ANCHOR)
        return board + side.step * _predict(self.lrp_nonanchor, known, board, NON_ANCHOR)

    def _across(self, previous: list[Tensor]) -> list[Tensor]:
        """Return the contexts (B, 64, H, W) and (B, 128, H, W) from the slices before, if there are any."""
        if not previous:
            return []
        joined = torch.cat(previous, 1)
        return [self.global_inter_context(joined), self.channel_context(joined)]


def _predict(network: nn.Module, known: Tensor, board: Tensor, parity: int) -> Tensor:
    """Return the predicted residual (B, 32, H, W) in steps of the quantiser, zeros where the parity is another."""
    residual = network(torch.cat([known, board], 1))
    return scatter(0.5 * torch.tanh(gather(residual, parity)), parity)


class MLICPlusPlus(PartByPart, CompressionModel):  # type: ignore[misc]  # compressai has no types
    """An image codec with a multi-reference entropy model.

                ┌───┐ y          ┌─────────────────────────────────────────────┐ y_hat ┌───┐
        x ──────┤g_a├──┬─────────┤ slice 0: anchors, non-anchors; slice 1: ... ├───────┤g_s├── x_hat
                └───┘  │         └──────────────────────┬──────────────────────┘       └───┘
                     ┌─┴─┐ z  ┌──┐ z_hat  ┌───┐ side    │
                     │h_a├────┤EB├────────┤h_s├─────────┘
                     └───┘    └──┘        └───┘

    Args:
        N: channels between the layers of g_a and g_s, and of the hyper latent (published: 192).
        M: channels of the latent, a multiple of 32 (published: 320).
        window: side of the local attention's window (published: 5).
    """

    is_old = False
    """whether g_s and the prediction of residuals are the older form's"""

    def __init__(self, N: int = 192, M: int = 320, window: int = 5) -> None:
        super().__init__()
        if M <= 0 or M % SLICE:
            raise ValueError(f"mlicpp codes slices of {SLICE} channels: expected a multiple of {SLICE} for M, came {M}")
        if window <= 0 or window % 2 == 0:
            raise ValueError(f"expected an odd window, came {window}")
        self.g_a, self.g_s = transforms.analysis(N, M), transforms.synthesis(N, M, self.is_old)
        self.h_a, self.h_s = transforms.hyper_analysis(N, M), transforms.hyper_synthesis(N, M)
        self.entropy_bottleneck = EntropyBottleneck(N)
        self.gaussian_conditional = GaussianConditional(None)
        self.slices = nn.ModuleList(Slice(index, M, window, self.is_old) for index in range(M // SLICE))
        self.N, self.M, self.window = N, M, window

    @property
    def downsampling_factor(self) -> int:
        """Pixels per hyper latent position along each side, as in CompressAI's models."""
        return 64

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Tensor]) -> "MLICPlusPlus":
        """Return a model of the weights' own size."""
        window = state_dict["slices.0.local_context.fusion.weight"].shape[-1]
        cls = MLICPlusPlusOld if "g_s.0.skip.weight" in state_dict else MLICPlusPlus
        network = cls(state_dict["g_a.0.conv1.weight"].shape[0], state_dict["g_a.6.weight"].shape[0], window)
        network.load_state_dict(state_dict)
        return network

    def sizes(self) -> Sequence[int]:
        """Return the channels of each slice."""
        return [SLICE] * len(self.slices)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """Return the hyper latent (B, N, H / 64, W / 64) of a latent (B, M, H / 16, W / 16)."""
        z: Tensor = self.h_a(y)
        return z

    def bottleneck(self) -> EntropyBottleneck:
        """Return the hyper latent's entropy model."""
        return self.entropy_bottleneck

    def gaussian(self, group: int) -> GaussianConditional:
        """Return the entropy model of all slices."""
        return self.gaussian_conditional

    def side_at(self, side: Tensor, gain: Tensor | float) -> Tensor:
        """Return h_s's output (B, 2 M, H, W) as it is at a gain."""
        return side

    def decode_latent(self, z_hat: Tensor, code: CodePass, gain: Tensor | float) -> Tensor:
        """Return the decoder's latent (B, M, H, W); `code` gives each half of it in turn, the anchors first."""
        hyper = self.side_at(self.h_s(z_hat.contiguous(memory_format=torch.channels_last)), gain)
        windows = windows_of(hyper.shape[2], hyper.shape[3], self.window, hyper.device)
        side = Side(hyper.chunk(2, 1)[1], (gather(hyper, NON_ANCHOR), gather(hyper, ANCHOR)), windows, 1 / gain)
        decoded: list[Tensor] = []
        for entropy_model in self.slices:
            decoded.append(entropy_model(side, decoded, code))
        return torch.cat(decoded, 1)


class MLICPlusPlusOld(MLICPlusPlus):
    """The form of twelve of the thirteen official checkpoints: 116.7 million parameters in place of 83.5."""

    is_old = True
