"""One interface around CompressAI's models: any image size, CDFs that cannot be stale, real strings."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from compressai.entropy_models import EntropyModel, GaussianConditional
from compressai.models import CompressionModel
from torch import Tensor, nn

from lic.images import crop_to, pad_to_multiple

STRIDE = 64  # of the hyper latent, in pixels: what every model here divides an image by


class CodecOutput(NamedTuple):
    """What a differentiable forward pass gives.

    Attributes:
        reconstruction: (N, 3, H, W), about [0, 1], not clamped.
        bpp: (N,), bits per pixel estimated from the likelihoods, of the H x W image without padding.
    """

    reconstruction: Tensor
    bpp: Tensor


class Strings(NamedTuple):
    """One image's entropy-coded strings and what is needed to decode them.

    Attributes:
        strings: one per latent, in CompressAI's order (y, z).
        shape: height and width of the hyper latent z.
    """

    strings: tuple[bytes, ...]
    shape: tuple[int, int]


class Codec(nn.Module):
    """A CompressAI model behind padding, cropping and up-to-date CDF tables.

        image -- pad to 64 -- network -- crop -- reconstruction
                                 `---- likelihoods -- bpp

    The CDF tables that the range coder needs are built when they are first used after training or loading (users
    of CompressAI call `update()` themselves, and forget it). A checkpoint that already holds tables keeps them.
    """

    def __init__(self, network: CompressionModel) -> None:
        super().__init__()
        self.network = network
        self._version_of_tables: tuple[int, int] | None = None
        self.register_load_state_dict_pre_hook(_fit_tables)  # type: ignore[no-untyped-call]  # torch's stubs
        self.register_load_state_dict_post_hook(_trust_loaded_tables)  # type: ignore[no-untyped-call]  # the same
        self.register_state_dict_post_hook(_leave_out_stale_tables)  # type: ignore[no-untyped-call]  # the same

    def forward(self, image: Tensor) -> CodecOutput:
        """Return the reconstruction and the estimated rate.

        Args:
            image: (N, 3, H, W), RGB in [0, 1].
        """
        height, width = image.shape[-2:]
        output = self.network(pad_to_multiple(image, STRIDE))
        parts = [-torch.log2(part.float()).flatten(1).sum(1) for part in output["likelihoods"].values()]
        bits = torch.stack(parts).sum(0)
        return CodecOutput(crop_to(output["x_hat"], height, width), bits / (height * width))

    @torch.no_grad()
    def compress(self, image: Tensor) -> Strings:
        """Return the strings of one image, (1, 3, H, W)."""
        assert image.shape[0] == 1, "strings are one image's: encoder and decoder must see the same batch"
        self.build_tables()
        with torch.autocast(image.device.type, enabled=False):
            coded = self.network.compress(pad_to_multiple(image.float(), STRIDE))
        height, width = coded["shape"]
        return Strings(tuple(strings[0] for strings in coded["strings"]), (int(height), int(width)))

    @torch.no_grad()
    def decompress(self, strings: Strings, height: int, width: int) -> Tensor:
        """Return the decoded image, (1, 3, height, width), in [0, 1]."""
        self.build_tables()
        with torch.autocast(self.device.type, enabled=False):
            decoded = self.network.decompress([[string] for string in strings.strings], strings.shape)["x_hat"]
        return crop_to(decoded, height, width).clamp(0, 1)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def auxiliary_loss(self) -> Tensor:
        """Return the loss that moves the entropy bottleneck's quantiles to the tails of its density."""
        loss: Tensor = self.network.aux_loss()
        return loss

    def quantiles(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that only the auxiliary loss moves."""
        return (parameter for name, parameter in self.named_parameters() if name.endswith(".quantiles"))

    def weights(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that the rate-distortion loss moves."""
        return (parameter for name, parameter in self.named_parameters() if not name.endswith(".quantiles"))

    def centre_quantiles(self) -> None:
        """Solve for the quantiles, so that the auxiliary loss starts near 0 and not at some thousands."""
        self.network.update(force=True, update_quantiles=True)

    def _weights_version(self) -> tuple[int, int]:
        """Return what every change of a parameter in place (optimiser step, loading) changes; a copy has its own."""
        return id(self), sum(parameter._version for parameter in self.parameters())

    def build_tables(self) -> None:
        """Build the CDF tables unless those at hand belong to the present weights."""
        if self._version_of_tables != self._weights_version():
            self.network.update(force=True)
            self._version_of_tables = self._weights_version()


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
    if codec._version_of_tables != codec._weights_version():
        for _, _, name in _tables(codec):
            state[prefix + name] = state[prefix + name][:0]
