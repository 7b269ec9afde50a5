"""One interface around CompressAI's models: any image size, CDFs that cannot be stale, one string of real bytes."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck, EntropyModel, GaussianConditional
from compressai.models import CompressionModel
from torch import Tensor, nn

from lic.codecs.card import STRIDE
from lic.codecs.entropy_models import coding, share_string
from lic.codecs.inference import quicken, tiling
from lic.codecs.range_coder import SymbolDecoder, SymbolEncoder
from lic.codecs.rates import middle, nearest, spread
from lic.codecs.strings import bind, count_own, fill, join, layout_of, own_strings, scale_shape, split
from lic.images import crop_to, pad_to_multiple
from lic.settings import require

MAX_THREADS = 16
TILE_OVERLAP_PX = 128  # on each side; beyond what the transforms without attention see


class CodecOutput(NamedTuple):
    """What a differentiable forward pass gives.

    Attributes:
        reconstruction: (N, 3, H, W), about [0, 1], not clamped.
        bpp: (N,), bits per pixel estimated from the likelihoods, of the H x W image without padding.
    """

    reconstruction: Tensor
    bpp: Tensor


class CodedImage(NamedTuple):
    """One image's entropy-coded symbols.

    Attributes:
        string: a guest's own strings, each behind its length; then all latents' symbols, in the order in which the
            codec decodes them.
        check: 4 bytes that depend on every symbol and own string.
        num_threads: with which the encoder computed, up to MAX_THREADS: sums are rounded as threads share them out.
        num_bits_estimated: what the symbols should cost by their probability tables; the encoder alone knows.
    """

    string: bytes
    check: bytes
    num_threads: int
    num_bits_estimated: float = math.nan


class Codec(nn.Module):
    """A CompressAI model behind padding, cropping and up-to-date CDF tables.

        image -- pad to stride -- network -- crop -- reconstruction
                                     `---- likelihoods -- bpp

    The CDF tables that the range coder needs are built when they are first used after training or loading (users
    of CompressAI call `update()` themselves, and forget it). A checkpoint that already holds tables keeps them.

    Encoder and decoder must agree on the table of every symbol. `compress` and `decompress` therefore compute in one
    mode: fp32 without autocast or TF32, channels last, deterministic kernels, the number of threads that the encoder
    had. What differs all the same (another processor, another torch) is found by the check value.

    What a network codes by CompressAI's entropy models goes to one string. A network that has a coder of its own, in
    whole or in part, returns strings of its own; they come first, each behind its length.

    Args:
        network: what a card builds: it has the `forward`, `compress` and `decompress` of CompressAI's models.
        grid: the lmbdas of a variable-rate network, which has a gain for each; empty for a single rate. A network that
            has rates of its own (`num_rates`) spaces them by powers from the lowest to the highest.
        stride: of the last latent, in pixels.
        can_tile: whether `g_a` and `g_s` may be applied tile by tile.
    """

    def __init__(
        self, network: nn.Module, grid: Sequence[float] = (), stride: int = STRIDE, can_tile: bool = True
    ) -> None:
        super().__init__()
        share_string(network)
        quicken(network)
        self.network: Any = network
        self.grid, self.stride, self.can_tile = tuple(grid), stride, can_tile
        self.rates = spread(self.grid, getattr(network, "num_rates", 0))
        """lmbdas of a network's own rates, from the lowest; empty for other networks"""
        self.tile_px: int | None = None
        """transform images in tiles of this side, a multiple of 64; None, or where it cannot: whole"""
        self.streams_of: str | None = None
        """SHA-256 of the checkpoint whose tables it keeps, as its streams want; None: they follow from its weights"""
        self._version_of_tables: tuple[int, int] | None = None
        self._smallest_layout: tuple[Any, Any] | None = None
        self.register_load_state_dict_pre_hook(_fit_tables)  # type: ignore[no-untyped-call]  # torch's stubs
        self.register_load_state_dict_post_hook(_trust_loaded_tables)  # type: ignore[no-untyped-call]  # the same
        self.register_state_dict_post_hook(_leave_out_stale_tables)  # type: ignore[no-untyped-call]  # the same

    def forward(self, image: Tensor, lmbda: float | Sequence[float] | None = None) -> CodecOutput:
        """Return the reconstruction and the estimated rate.

        Args:
            image: (N, 3, H, W), RGB in [0, 1].
            lmbda: operating point of a variable-rate codec, in training one of its grid; None: without gain, the
                single-rate codec that its first stage trains. Of own rates the nearest is taken, with None the middle
                one; there may be one lmbda for each image.
        """
        height, width = image.shape[-2:]
        output = self.network(pad_to_multiple(image, self.stride), **self._operating_point(lmbda))
        parts = [-torch.log2(part.float()).flatten(1).sum(1) for part in output["likelihoods"].values()]
        bits = torch.stack(parts).sum(0)
        return CodecOutput(crop_to(output["x_hat"], height, width), bits / (height * width))

    def _operating_point(self, lmbda: float | Sequence[float] | None) -> dict[str, Any]:
        """Return the arguments that CompressAI's variable-rate networks and own rates take; none for others."""
        if not self.grid:
            return {}
        if self.rates:
            points = [middle(self.grid)] if lmbda is None else lmbda if isinstance(lmbda, Sequence) else [lmbda]
            return {"rate": torch.tensor([self.rate(point) for point in points], device=self.device)}
        assert not isinstance(lmbda, Sequence)
        if lmbda is None:
            return {"stage": 1}
        return {"stage": 2, "s": self.grid.index(lmbda)} if self.training else {"inputscale": self.gain(lmbda)}

    def gain(self, lmbda: float) -> Tensor:
        """Return a variable-rate codec's gain at any lmbda of its range, between those of its grid by power law.

        Raises:
            ValueError: lmbda is out of range.
        """
        self.check_range(lmbda)
        gains = self.network.Gain.detach().double().cpu().abs().log().numpy()
        order = np.argsort(self.grid)
        log_gain = np.interp(math.log(lmbda), np.log(self.grid)[order], gains[order])
        return torch.tensor(math.exp(log_gain), dtype=torch.float32, device=self.device)

    def rate(self, lmbda: float) -> int:
        """Return which of a network's own rates is nearest to any lmbda of its range, by their ratio.

        Raises:
            ValueError: lmbda is out of range.
        """
        self.check_range(lmbda)
        return nearest(self.rates, lmbda)

    def check_range(self, lmbda: float) -> None:
        """Raise ValueError for an lmbda that is not in the range of a variable-rate codec."""
        low, high = min(self.grid), max(self.grid)
        if not low * 0.999 <= lmbda <= high * 1.001:  # streams hold lmbda in 16 bits
            raise ValueError(f"lmbda {lmbda:g} is outside of this checkpoint's {low:g} .. {high:g}")

    @torch.no_grad()
    def compress(self, image: Tensor, lmbda: float | None = None) -> CodedImage:
        """Return the coded symbols of one image, (1, 3, H, W); a variable-rate codec codes at the given lmbda."""
        assert image.shape[0] == 1, "strings are one image's: encoder and decoder must see the same batch"
        encoder, num_threads = SymbolEncoder(), min(torch.get_num_threads(), MAX_THREADS)
        with self._fixed_mode(num_threads), coding(self.network, encoder):
            padded = _channels_last(pad_to_multiple(image.float(), self.stride))
            coded = self.network.compress(padded, **self._coding_point(lmbda))
        own, num_bits = own_strings(coded["strings"]), encoder.num_bits
        if own:
            num_bits = float(self(image.float(), lmbda).bpp) * image.shape[-2] * image.shape[-1]
            require(layout_of(coded["strings"]) == self._layout(1, 1)[0],
                    "this codec returns more or fewer strings for one image than for another")
        return CodedImage(join(encoder.finish(), own), bind(encoder.digest, own), num_threads, num_bits)

    @torch.no_grad()
    def decompress(self, coded: CodedImage, height: int, width: int, lmbda: float | None = None) -> Tensor:
        """Return the decoded image, (1, 3, height, width), in [0, 1].

        Raises:
            ValueError: the string is none of this codec's, or was coded by arithmetic that rounds otherwise.
        """
        layout, shape = self._layout(math.ceil(height / self.stride), math.ceil(width / self.stride))
        symbols, own = split(coded.string, count_own(layout))
        decoder = SymbolDecoder(symbols)

        def check(*_: Any) -> None:
            require(bind(decoder.digest, own) == coded.check,
                    "its symbols are not those that were coded: it is damaged, or this machine rounds otherwise")

        synthesis = getattr(self.network, "g_s", None)
        hook = None
        if isinstance(synthesis, nn.Module):  # before anything costly, or that could be shown
            hook = synthesis.register_forward_pre_hook(check)
        try:
            with self._fixed_mode(coded.num_threads), coding(self.network, decoder):
                strings = fill(layout, iter(own))
                decoded = self.network.decompress(strings, shape, **self._coding_point(lmbda))["x_hat"]
        finally:
            if hook is not None:
                hook.remove()
        check()
        return crop_to(decoded, height, width).clamp(0, 1)

    @torch.no_grad()
    def check_coding(self) -> None:
        """Refuse a network that does not code as a training's evaluation will: a guest's, before it trains for hours.

        Raises:
            ValueError: in one line: `forward`, `compress` or `decompress` fail, or one's result does not fit the next.
        """
        height, width = 2 * self.stride - 1, self.stride + 1
        image = torch.linspace(0, 1, 3 * height * width, device=self.device).view(1, 3, height, width)
        point, was_training = max(self.grid, default=None), self.training
        try:
            output = self.eval()(image, point)
            decoded = self.decompress(self.compress(image, point), height, width, point)
            require(output.reconstruction.shape == decoded.shape == image.shape,
                    f"an image of {tuple(image.shape)} gives {tuple(output.reconstruction.shape)} and, decoded, "
                    f"{tuple(decoded.shape)}")
            require(bool(output.bpp.isfinite().all()), f"its likelihoods give {float(output.bpp[0])} bits per pixel")
        except Exception as error:  # a guest's code
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(f"this codec cannot code an image: {type(error).__name__}: {reason}") from error
        finally:
            self.train(was_training)

    def _coding_point(self, lmbda: float | None) -> dict[str, Any]:
        assert (lmbda is None) == (not self.grid), "variable-rate codecs code at an lmbda, others at their own"
        if lmbda is None:
            return {}
        return self._operating_point(lmbda) if self.rates else {"inputscale": self.gain(lmbda)}

    @contextmanager
    def _fixed_mode(self, num_threads: int) -> Iterator[None]:
        """Compute as the class's docstring promises."""
        self.build_tables()
        self.network.to(memory_format=torch.channels_last)
        own_threads = torch.get_num_threads()
        with ExitStack() as stack:
            stack.enter_context(torch.autocast(self.device.type, enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False))
            if self.tile_px is not None and self.can_tile:
                stack.enter_context(tiling(self.network, self.tile_px, TILE_OVERLAP_PX))
            stack.callback(torch.set_num_threads, own_threads)
            torch.set_num_threads(num_threads)
            yield

    def _layout(self, rows: int, columns: int) -> tuple[Any, Any]:
        """Return which strings the network's `decompress` wants, as `layout_of` does, and the latents' shapes.

        Args:
            rows, columns: of stride x stride pixels. The network says what they are for one of these.
        """
        if self._smallest_layout is None:
            self.build_tables()
            with coding(self.network, SymbolEncoder()):
                blank = torch.zeros(1, 3, self.stride, self.stride, device=self.device)
                coded = self.network.compress(blank, **self._coding_point(max(self.grid, default=None)))
            self._smallest_layout = layout_of(coded["strings"]), coded["shape"]
        layout, shape = self._smallest_layout
        return layout, scale_shape(shape, rows, columns)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def auxiliary_loss(self) -> Tensor:
        """Return the loss that moves the entropy bottleneck's quantiles to the tails of its density."""
        losses = [module.loss() for module in self.modules() if isinstance(module, EntropyBottleneck)]
        return torch.stack(losses).sum() if losses else torch.zeros((), device=self.device)

    def quantiles(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that only the auxiliary loss moves."""
        return (parameter for name, parameter in self.named_parameters() if name.endswith(".quantiles"))

    def weights(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that the rate-distortion loss moves."""
        return (parameter for name, parameter in self.named_parameters() if not name.endswith(".quantiles"))

    def centre_quantiles(self) -> None:
        """Solve for the quantiles, so that the auxiliary loss starts near 0 and not at some thousands."""
        for module in self.modules():
            if isinstance(module, EntropyBottleneck):
                module.update(force=True, update_quantiles=True)

    def _weights_version(self) -> tuple[int, int]:
        """Return what every change of a parameter in place (optimiser step, loading) changes; a copy has its own."""
        return id(self), sum(parameter._version for parameter in self.parameters())

    @property
    def has_tables(self) -> bool:
        """Whether the CDF tables at hand belong to the present weights."""
        return self.streams_of is not None or self._version_of_tables == self._weights_version()

    def build_tables(self) -> None:
        """Build the CDF tables unless those at hand belong to the present weights."""
        if not self.has_tables:
            getattr(self.network, "update", partial(CompressionModel.update, self.network))(force=True)
            self._version_of_tables = self._weights_version()


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)


def _tables(codec: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield module, buffer and full name of each buffer that `update()` fills, empty before it."""
    for name, module in codec.named_modules():
        if isinstance(module, EntropyModel):
            has_scales = isinstance(module, GaussianConditional)
            for buffer in ("_offset", "_quantized_cdf", "_cdf_length", *(["scale_table"] if has_scales else [])):
                yield module, buffer, f"{name}.{buffer}"


def _fit_tables(codec: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give the table buffers the sizes that a state dict's have; torch's own loading refuses another size."""
    for module, buffer, name in _tables(codec):
        own, loaded = getattr(module, buffer), state.get(prefix + name)
        if loaded is not None and own.shape != loaded.shape:
            setattr(module, buffer, torch.empty(loaded.shape, dtype=loaded.dtype, device=own.device))


def _trust_loaded_tables(codec: nn.Module, _: Any) -> None:
    assert isinstance(codec, Codec)
    is_full = all(getattr(module, buffer).numel() > 0 for module, buffer, _ in _tables(codec))
    codec._version_of_tables = codec._weights_version() if is_full else None


def _leave_out_stale_tables(codec: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Empty the tables in a state dict unless they belong to the weights beside them."""
    assert isinstance(codec, Codec)
    if not codec.has_tables:
        for _, _, name in _tables(codec):
            state[prefix + name] = state[prefix + name][:0]
