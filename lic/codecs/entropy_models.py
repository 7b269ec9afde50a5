"""CompressAI's entropy models behind one range coder for all symbols of an image.

CompressAI's models give a string per latent, per channel group, per half of a checkerboard, each with its own end and
length. Here they append to one string, in the order in which a codec codes them, which is the order in which it
decodes them. What CompressAI passes around as strings is then a placeholder: in the encoder the symbols themselves
(codecs "decode" them for the context of the next), in the decoder nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck, EntropyModel, GaussianConditional
from torch import Tensor, nn

from lic.codecs.range_coder import SymbolDecoder, SymbolEncoder, Tables, read_tables


class _OneString(EntropyModel):  # type: ignore[misc]  # CompressAI has no types
    """An entropy model that codes with what `coding` hands it."""

    coder: SymbolEncoder | SymbolDecoder
    tables: Tables

    def compress(self, inputs: Tensor, indexes: Tensor, means: Tensor | None = None) -> list[Tensor]:
        """Append one image's symbols; return them as the placeholder, in a list as long as the batch.

        Args:
            inputs: (1, ...), the values to quantise.
            indexes: the same shape, table of each.
            means: what is subtracted before rounding.
        """
        assert isinstance(self.coder, SymbolEncoder) and len(inputs) == 1
        symbols: Tensor = self.quantize(inputs, "symbols", means)
        self.coder.encode(symbols.cpu().numpy().ravel(), indexes.cpu().numpy().ravel(), self.tables)
        return [symbols]

    def decompress(
        self, strings: list[Any], indexes: Tensor, dtype: torch.dtype = torch.float, means: Tensor | None = None
    ) -> Tensor:
        """Return the values of the next symbols (decoder) or of those just written (encoder)."""
        if isinstance(self.coder, SymbolEncoder):
            symbols = strings[0]
        else:
            decoded = self.coder.decode(indexes.cpu().numpy().ravel(), self.tables)
            symbols = torch.from_numpy(decoded).reshape(indexes.shape).to(indexes.device)
        values: Tensor = self.dequantize(symbols, means, dtype)
        return values


class OneStringBottleneck(EntropyBottleneck, _OneString):  # type: ignore[misc]
    """An EntropyBottleneck on the shared string."""


class OneStringGaussian(GaussianConditional, _OneString):  # type: ignore[misc]
    """A GaussianConditional on the shared string."""

    def build_indexes(self, scales: Tensor) -> Tensor:
        """Return each scale's table: CompressAI's result from one binary search instead of 63 comparisons."""
        bounded = self.lower_bound_scale(scales).contiguous()
        return torch.bucketize(bounded, self.scale_table[:-1], out_int32=True)


def share_string(network: nn.Module) -> None:
    """Give the entropy models of a network the methods above; parameters, buffers and their names stay."""
    for module in network.modules():
        if type(module) is EntropyBottleneck:
            module.__class__ = OneStringBottleneck
        elif type(module) is GaussianConditional:
            module.__class__ = OneStringGaussian


@contextmanager
def coding(network: nn.Module, coder: SymbolEncoder | SymbolDecoder) -> Iterator[None]:
    """Let a network's entropy models code with a coder and their present tables."""
    models = [module for module in network.modules() if isinstance(module, _OneString)]
    for model in models:
        model.coder, model.tables = coder, read_tables(model)
    try:
        yield
    finally:
        for model in models:
            del model.coder, model.tables  # neither can be copied
