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

MARGIN = 1e-6
"""Of a scale to an edge of its table, relative to 1 + scale: a few times what kernels and processors differ by."""


class OneString(EntropyModel):  # type: ignore[misc]  # CompressAI has no types
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


class OneStringBottleneck(EntropyBottleneck, OneString):  # type: ignore[misc]  # the same
    """An EntropyBottleneck on the shared string."""


class OneStringGaussian(GaussianConditional, OneString):  # type: ignore[misc]  # the same
    """A GaussianConditional on the shared string."""

    def build_indexes(self, scales: Tensor) -> Tensor:
        """Return each scale's table: CompressAI's result, from one binary search instead of 63 comparisons.

        Another machine's rounding may move a scale that lies at the edge of two tables to the other one, and all that
        follows would decode to nonsense. The encoder therefore writes the side of those that lie within `MARGIN` of an
        edge, and the decoder takes it from there: about one scale in 10^5, ten bytes for a photograph.
        """
        edges = self.scale_table[:-1]
        indexes = torch.bucketize(scales.contiguous(), edges, out_int32=True)
        if isinstance(self.coder, SymbolEncoder):
            positions, are_above = _near_edges(scales, indexes, edges)
            self.coder.encode_sides(positions.cpu().numpy(), are_above.cpu().numpy(), scales.numel())
        else:
            decoded = self.coder.decode_sides(scales.numel())
            positions, are_above = (torch.from_numpy(each).to(scales.device) for each in decoded)
            nearest = _nearest(scales.flatten()[positions.long()], edges)
            indexes.view(-1)[positions.long()] = nearest + are_above
        return indexes


def _near_edges(scales: Tensor, indexes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions of scales near an edge, and for each whether it counts as above; int32."""
    nearest = _nearest(scales, edges)
    is_near = (scales - edges[nearest]).abs() < MARGIN * (1 + scales.abs())
    return is_near.flatten().nonzero().flatten().int(), (indexes > nearest)[is_near].int()


def _nearest(scales: Tensor, edges: Tensor) -> Tensor:
    """Return the index of the edge nearest to each scale, int32."""
    above = torch.bucketize(scales.contiguous(), edges, out_int32=True).clamp(1, len(edges) - 1)
    is_below = scales - edges[above - 1] < edges[above] - scales
    return above - is_below.int()


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
    models = [module for module in network.modules() if isinstance(module, OneString)]
    for model in models:
        model.coder, model.tables = coder, read_tables(model)
    try:
        yield
    finally:
        for model in models:
            del model.coder, model.tables  # neither can be copied
