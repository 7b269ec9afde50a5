"""DCVC-UF-Intra, the image codec of "Ultra-Fast Neural Video Compression" (CVPR 2026, arXiv 2606.04410).

Own code after the paper and github.com/microsoft/DCVC (MIT), commit 54e8864, src/models/image_model.py and
common_model.py, on CompressAI's Gaussian model and this project's range coder. The official checkpoint loads through
`lic.codecs.convert_dcvc`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from compressai.entropy_models import GaussianConditional
from compressai.models import CompressionModel
from compressai.models.base import get_scale_table
from torch import Tensor, nn

from lic.codecs import dcvc_layers as layers
from lic.codecs.dcvc_prior import LIKELIHOOD_BOUND, RateBottleneck
from lic.settings import require

NUM_RATES = 64
NUM_STEPS = 4
NUM_SCALES = 200
"""From 0.11 to 256, as near to each other as theirs, 128 up to 16. CompressAI's 64 cost 1.5 % at a scale of 0.3."""
PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column in each 2 x 2 square of a latent."""
_FIRST = (0, 3, 2, 1)
"""Place that a step codes of the first quarter of the channels; of quarter q it is the place q XOR that."""

CodeStep = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(latent, scales, means) at what a step codes, (B, n) each -> the same, rounded around the means."""


class DCVCUFIntra(CompressionModel):  # type: ignore[misc]  # compressai has no types
    """A codec of plain convolutions with 64 rates, each with gains of its own.

               gain      gain y                                        1 / gain y    gain
                ┌┴──┐ y    │     ┌──────────────────────────────────┐ y_hat  │      ┌┴──┐
        x ──────┤g_a├──┬───×─────┤ steps 0 to 3 of a 2 x 2 square   ├────────×──────┤g_s├── x_hat
                └───┘  │         └────────────────┬─────────────────┘               └───┘
                     ┌─┴─┐ z  ┌──────────┐ z_hat  │ scales, means
                     │h_a├────┤by channel├────────┤h_s, fusion
                     └───┘    │ and rate │
                              └──────────┘

    A step codes a quarter of the latent: of each quarter of the channels another place of every 2 x 2 square. The steps
    after the first know what was decoded before, by an adaptor of their own and one network that they share.

    Args:
        N: channels at stride 8 (published: 384).
        M: channels of the latent, a multiple of 4 (published: 256); the hyper latent has half as many.
    """

    num_rates = NUM_RATES

    def __init__(self, N: int = 384, M: int = 256) -> None:
        super().__init__()
        require(M > 0 and M % 4 == 0, f"dcvc-uf-intra codes quarters of its channels: M is a multiple of 4, got {M}")
        self.g_a, self.g_s = layers.Analysis(N, M), layers.Synthesis(N, M)
        self.h_a, self.h_s = layers.hyper_analysis(M), layers.hyper_synthesis(M)
        self.fusion, self.prior = layers.parameters_from(M, M), layers.parameters_from(2 * M, M)
        self.reduction = nn.Conv2d(2 * M, M, 1)
        self.adaptors = nn.ModuleList(layers.DepthBlock(2 * M, 2 * M, has_adaptor=True) for _ in range(NUM_STEPS - 1))
        self.hyper_prior, self.gaussian_conditional = (
            RateBottleneck(NUM_RATES, M // 2), GaussianConditional(None, likelihood_bound=LIKELIHOOD_BOUND),
        )  # fmt: skip
        self.gain_g_a, self.gain_g_s = (nn.Parameter(torch.ones(NUM_RATES, N)) for _ in range(2))
        self.gain_y, self.inverse_gain_y = (nn.Parameter(torch.ones(NUM_RATES, M)) for _ in range(2))
        self.N, self.M = N, M
        self._draw_weights()

    def _draw_weights(self) -> None:
        """Draw weights as theirs are, but those that end a residual branch ten times smaller.

        With theirs, 30 blocks that each add to the image start at a mean squared error of 10^5.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight, 0.1 if name.endswith(("spatial.3", "pointwise.2")) else 1.0)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @torch.no_grad()
    def spread_gains(self, lmbdas: Sequence[float]) -> None:
        """Start the rates apart, by the mse-optimal step's law; the official training starts from ones.

        Args:
            lmbdas: of the rates, from the lowest.
        """
        gains = torch.tensor(lmbdas).log()
        gains = ((gains - gains.mean()) / 2).exp()[:, None]
        self.gain_y[: len(gains)] = gains
        self.inverse_gain_y[: len(gains)] = 1 / gains

    def forward(self, x: Tensor, rate: Tensor) -> dict[str, Any]:
        """Return the reconstruction and likelihoods.

        The decoder's latents are rounded, straight-through; in training the likelihoods are those of latents with
        uniform noise in place of rounding.

        Args:
            x: (B, 3, H, W), RGB in [0, 1], sides multiples of 16.
            rate: (B,) or (1,), 0 .. 63 from the lowest.

        Returns:
            `x_hat` (B, 3, H, W), not clamped; `likelihoods`: `y` (B, M H / 16 W / 16), step by step, and `z`
            (B, M / 2, H / 64, W / 64), rounded up, in fp32.
        """
        y, z = self._analyse(x, rate)
        likelihoods: list[Tensor] = []

        def estimate(values: Tensor, scales: Tensor, means: Tensor) -> Tensor:
            residual = values - means
            likelihoods.append(self.gaussian_conditional(residual, scales)[1])
            return _round(residual) + means

        with torch.autocast(x.device.type, enabled=False):
            z_likelihoods = self.hyper_prior(z, rate)
        x_hat = self._synthesise(self._decode_latent(_round(z), y, estimate), rate)
        return {"x_hat": x_hat, "likelihoods": {"y": torch.cat(likelihoods, 1), "z": z_likelihoods}}

    def compress(self, x: Tensor, rate: Tensor) -> dict[str, Any]:
        """Return the strings of each step, the hyper latent's last, and the latent's height and width.

        The range coder is called in the decoder's order: z, then steps 0 to 3.

        Args:
            x: (1, 3, H, W), RGB in [0, 1], sides multiples of 16.
            rate: (1,).
        """
        y, z = self._analyse(x, rate)
        z_strings = self.hyper_prior.compress(z, self.hyper_prior.build_indexes(rate, *z.shape[-2:]))
        strings: list[Any] = []

        def encode(values: Tensor, scales: Tensor, means: Tensor) -> Tensor:
            indexes = self.gaussian_conditional.build_indexes(scales)
            strings.append(self.gaussian_conditional.compress(values, indexes, means))
            return _round(values - means) + means

        self._decode_latent(z.round(), y, encode)
        return {"strings": [*strings, z_strings], "shape": y.shape[-2:]}

    def decompress(self, strings: list[Any], shape: tuple[int, int], rate: Tensor) -> dict[str, Any]:
        """Return the reconstruction `x_hat` (1, 3, H, W), not clamped, of what `compress` returned."""
        height, width = (-(-side // 4) for side in shape)
        indexes = self.hyper_prior.build_indexes(rate, height, width)
        z_hat = self.hyper_prior.decompress(strings[-1], indexes)
        steps = iter(strings[:-1])

        def decode(_: Tensor, scales: Tensor, means: Tensor) -> Tensor:
            indexes = self.gaussian_conditional.build_indexes(scales)
            values: Tensor = self.gaussian_conditional.decompress(next(steps), indexes, means=means)
            return values

        blank = z_hat.new_zeros(1, self.M, *shape)
        return {"x_hat": self._synthesise(self._decode_latent(z_hat, blank, decode), rate)}

    def update(self, scale_table: Any = None, force: bool = False, **_: Any) -> bool:
        """Build the tables of both latents, as CompressAI's models do."""
        if not force and self.hyper_prior.offset.numel():
            return False
        self.hyper_prior.update()
        super().update(get_scale_table(levels=NUM_SCALES) if scale_table is None else scale_table, force=force)
        return True

    def _analyse(self, x: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent, multiplied by its gain, and the hyper latent; fp32."""
        y = self.g_a(_channels_last(layers.to_ycbcr(x)), _at(self.gain_g_a, rate))
        down, right = (-side % 4 for side in y.shape[-2:])
        z = self.h_a(F.pad(y, (0, right, 0, down), mode="replicate"))
        return y.float() * _at(self.gain_y, rate), z.float()

    def _synthesise(self, y_hat: Tensor, rate: Tensor) -> Tensor:
        x_hat = self.g_s(y_hat * _at(self.inverse_gain_y, rate), _at(self.gain_g_s, rate))
        return layers.to_rgb(x_hat.float())

    def _decode_latent(self, z_hat: Tensor, y: Tensor, code: CodeStep) -> Tensor:
        """Return the decoder's latent, (B, M, H / 16, W / 16).

        Args:
            z_hat: the decoder's hyper latent.
            y: the encoder's latent; what is in the decoder's place of it does not matter.
            code: estimates, encodes or decodes what is the step's.
        """
        height, width = y.shape[-2:]
        parameters = self.fusion(self.h_s(_channels_last(z_hat)))[..., :height, :width]
        side, y_hat = self.reduction(parameters), torch.zeros_like(y)
        for step in range(NUM_STEPS):
            if step:
                parameters = self.prior(self.adaptors[step - 1](torch.cat([y_hat, side], 1)))
            with torch.autocast(y.device.type, enabled=False):
                scales, means = (gather(part, step) for part in parameters.float().chunk(2, 1))
                y_hat = y_hat + scatter(code(gather(y, step), scales, means), step, y.shape)
        return y_hat


def _slices(step: int, channels: int) -> list[tuple[slice, ...]]:
    """Return what a step codes of (B, channels, H, W)."""
    quarter = channels // 4
    places = [PLACES[each ^ _FIRST[step]] for each in range(4)]
    return [
        (slice(None), slice(each * quarter, (each + 1) * quarter), slice(row, None, 2), slice(column, None, 2))
        for each, (row, column) in enumerate(places)
    ]


def gather(board: Tensor, step: int) -> Tensor:
    """Return what a step codes of (B, C, H, W), of any sides: (B, n)."""
    return torch.cat([board[part].flatten(1) for part in _slices(step, board.shape[1])], 1)


def scatter(values: Tensor, step: int, shape: Sequence[int]) -> Tensor:
    """Return a board (B, C, H, W) with a step's values (B, n) in their places, zeros elsewhere."""
    board, start = values.new_zeros(shape), 0
    for part in _slices(step, shape[1]):
        place = board[part]
        size = place[0].numel()
        board[part] = values[:, start : start + size].view(place.shape)
        start += size
    return board


def _round(values: Tensor) -> Tensor:
    """Return values rounded, exactly, with their own gradient."""
    return values + (values.round() - values).detach()


def _at(gains: Tensor, rate: Tensor) -> Tensor:
    """Return the gains of rates, (B, C, 1, 1)."""
    return gains[rate][:, :, None, None]


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)
