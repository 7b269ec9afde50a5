"""MLIC++ (Jiang et al. 2023, arXiv 2307.15421), our own code on CompressAI's layers and entropy models.

Weights of the official implementation (github.com/JiangWeibeta/MLIC, Apache-2.0) load through `lic.codecs.convert`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models import CompressionModel
from torch import Tensor, nn

from lic.codecs import mlicpp_transforms as transforms
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
    gather,
    residual_prediction,
    residual_prediction_old,
    scatter,
    windows_of,
)

CodePass = Callable[[int, int, Tensor, Tensor], Tensor]
"""(slice, parity, scales, means) -> the dequantised half; all of them (B, 32, H, W / 2)."""


class Side(NamedTuple):
    """What the hyper latent says about the latent.

    Attributes:
        means: (B, M, H, W), the half of h_s's output that residual prediction sees.
        halves: h_s's output (B, 2 M, H, W / 2) at non-anchors and at anchors.
        windows: of the latent's board.
    """

    means: Tensor
    halves: tuple[Tensor, Tensor]
    windows: Windows


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
        board = board + _predict(self.lrp_anchor, known, board, ANCHOR)
        contexts = [self.local_context(board, side.windows)]
        if previous:
            contexts.append(self.global_intra_context(previous[-1], board))
        contexts += [gather(context, NON_ANCHOR) for context in across]
        parameters = self.entropy_parameters_nonanchor(torch.cat([*contexts, side.halves[NON_ANCHOR]], 1))
        board = board + scatter(code(self.index, NON_ANCHOR, *parameters.chunk(2, 1)), NON_ANCHOR)
        return board + _predict(self.lrp_nonanchor, known, board, NON_ANCHOR)

    def _across(self, previous: list[Tensor]) -> list[Tensor]:
        """Return the contexts (B, 64, H, W) and (B, 128, H, W) from the slices before, if there are any."""
        if not previous:
            return []
        joined = torch.cat(previous, 1)
        return [self.global_inter_context(joined), self.channel_context(joined)]


def _predict(network: nn.Module, known: Tensor, board: Tensor, parity: int) -> Tensor:
    """Return the predicted residual (B, 32, H, W), zeros where the parity is another."""
    residual = network(torch.cat([known, board], 1))
    return scatter(0.5 * torch.tanh(gather(residual, parity)), parity)


class MLICPlusPlus(CompressionModel):  # type: ignore[misc]  # compressai has no types
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

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Return the reconstruction and likelihoods.

        The decoder's latent is rounded, straight-through; in training the likelihoods are those of a latent with
        uniform noise in place of rounding (mixed quantisation, Minnen & Singh 2020, arXiv 2007.08739).

        Args:
            x: (B, 3, H, W), RGB in [0, 1], sides multiples of 64.

        Returns:
            `x_hat` (B, 3, H, W); `likelihoods`: `y` (B, M, H / 16, W / 16) and `z` (B, N, H / 64, W / 64), in fp32.
        """
        y = self.g_a(_channels_last(x))
        z = self.h_a(y).float()
        y_slices = y.float().split(SLICE, 1)
        likelihoods: list[Tensor] = []

        def estimate(index: int, parity: int, scales: Tensor, means: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                half, scales, means = gather(y_slices[index], parity), scales.float(), means.float()
                likelihoods.append(scatter(self.gaussian_conditional(half, scales, means)[1], parity))
                return _round(half, means)

        with torch.autocast(x.device.type, enabled=False):
            _, z_likelihoods = self.entropy_bottleneck(z)
            z_hat = _round(z, self.entropy_bottleneck._get_medians().detach())
        x_hat = self.g_s(self._decode_latent(z_hat, estimate))
        y_likelihoods = [one + other for one, other in zip(likelihoods[::2], likelihoods[1::2], strict=True)]
        return {"x_hat": x_hat, "likelihoods": {"y": torch.cat(y_likelihoods, 1), "z": z_likelihoods}}

    def compress(self, x: Tensor) -> dict[str, Any]:
        """Return the strings of each pass, the hyper latent's last, and the hyper latent's height and width.

        The range coder is called in the decoder's order: z; then anchors and non-anchors of slice 0, of slice 1, ...

        Args:
            x: (B, 3, H, W), RGB in [0, 1], sides multiples of 64.
        """
        y = self.g_a(_channels_last(x))
        z = self.h_a(y)
        z_strings = self.entropy_bottleneck.compress(z)
        z_hat = self.entropy_bottleneck.decompress(z_strings, z.shape[-2:])
        y_slices = y.split(SLICE, 1)
        strings: list[Any] = []

        def encode(index: int, parity: int, scales: Tensor, means: Tensor) -> Tensor:
            half, indexes = gather(y_slices[index], parity), self.gaussian_conditional.build_indexes(scales)
            strings.append(self.gaussian_conditional.compress(half, indexes, means))
            return _round(half, means)

        self._decode_latent(z_hat, encode)
        return {"strings": [*strings, z_strings], "shape": z.shape[-2:]}

    def decompress(self, strings: list[Any], shape: tuple[int, int]) -> dict[str, Any]:
        """Return the reconstruction `x_hat` (B, 3, H, W), not clamped, of what `compress` returned."""
        z_hat = self.entropy_bottleneck.decompress(strings[-1], shape)
        passes = iter(strings[:-1])

        def decode(index: int, parity: int, scales: Tensor, means: Tensor) -> Tensor:
            indexes = self.gaussian_conditional.build_indexes(scales)
            half: Tensor = self.gaussian_conditional.decompress(next(passes), indexes, means=means)
            return half

        return {"x_hat": self.g_s(self._decode_latent(z_hat, decode))}

    def _decode_latent(self, z_hat: Tensor, code: CodePass) -> Tensor:
        """Return the decoder's latent (B, M, H, W); `code` gives each half of it in turn."""
        hyper = self.h_s(_channels_last(z_hat))
        windows = windows_of(hyper.shape[2], hyper.shape[3], self.window, hyper.device)
        side = Side(hyper.chunk(2, 1)[1], (gather(hyper, NON_ANCHOR), gather(hyper, ANCHOR)), windows)
        decoded: list[Tensor] = []
        for entropy_model in self.slices:
            decoded.append(entropy_model(side, decoded, code))
        return torch.cat(decoded, 1)


class MLICPlusPlusOld(MLICPlusPlus):
    """The form of twelve of the thirteen official checkpoints: 116.7 million parameters in place of 83.5."""

    is_old = True


def _round(values: Tensor, means: Tensor) -> Tensor:
    """Return values rounded around their means, exactly as when they are coded, with the gradient of the values."""
    residual = values - means
    return residual.round().detach() + (residual - residual.detach()) + means


def _channels_last(tensor: Tensor) -> Tensor:
    """Return a tensor in the memory format that convolutions are fastest in."""
    return tensor.contiguous(memory_format=torch.channels_last)
