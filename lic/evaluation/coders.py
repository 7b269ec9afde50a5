"""Coders: one operating point each of anything that turns an image into bytes and back."""

import math
from typing import Protocol

import torch
from torch import Tensor

from lic.bitstream import Encoded, decode, encode_with_estimate
from lic.codecs import LoadedCodec
from lic.codecs.cost import Cost, cost_of
from lic.curves.costs import Costs

_COSTS: dict[str, Cost] = {}
"""Of what has been measured in this process: checkpoints of one architecture cost the same."""


class Coder(Protocol):
    """An operating point.

    Attributes:
        codec, distortion, label, seed, lmbda, quality, checkpoint: as in the results file.
        scale_percent: of the sides of what it codes, where it makes images smaller; None: it does not.
        program: what codes, in its own words with its version; None: this package.
        fingerprint: changes with whatever streams and reconstructions depend on: weights, settings, library, lmbda.
        is_threadsafe: whether it may encode and decode in one thread while networks compute in another.
    """

    codec: str
    distortion: str | None
    label: str | None
    seed: int | None
    lmbda: float | None
    quality: int | None
    checkpoint: str | None
    scale_percent: int | None
    program: str | None
    fingerprint: str
    is_threadsafe: bool

    def encode(self, image: Tensor) -> Encoded:
        """Return the stream of one image, (1, 3, H, W), RGB in [0, 1], and how long it should be."""
        ...

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a stream, (1, 3, H, W), RGB in [0, 1]."""
        ...


class LearnedCoder:
    """A codec's checkpoint and one of its lmbdas, through `.lic` streams."""

    quality: int | None = None
    scale_percent: int | None = None
    program: str | None = None

    def __init__(self, loaded: LoadedCodec, lmbda: float, device: torch.device, tile: int | None = None) -> None:
        self._loaded, self._lmbda = loaded, lmbda
        if loaded.codec.grid:
            loaded.codec.check_range(lmbda)  # refuses what is out of range before anything is coded
        loaded.codec.to(device).eval()
        loaded.codec.tile_px = tile
        self.codec: str = loaded.header.codec
        self.distortion: str | None = loaded.header.distortion
        self.label: str | None = loaded.header.label
        self.seed: int | None = loaded.header.seed
        self.lmbda: float | None = lmbda
        self.checkpoint: str | None = loaded.sha256
        self.fingerprint: str = f"{loaded.sha256}{loaded.code_sha256} lmbda {lmbda!r} {device.type}"
        if tile is not None:
            self.fingerprint += f" tile {tile}"
        self.is_threadsafe: bool = device.type == "cpu"  # on a GPU, its settings of cuDNN would be the networks' too

    def costs(self) -> Costs:
        """Return what the checkpoint costs where it is."""
        codec, header = self._loaded.codec, self._loaded.header
        key = f"{header.codec} {header.options} {self._loaded.code_sha256} {codec.device} {codec.tile_px}"
        cost = _COSTS[key] = _COSTS.get(key) or cost_of(codec)
        encode_bytes, decode_bytes = cost.peak or (None, None)
        encode_kmac, decode_kmac = (None if math.isnan(each) else each for each in (cost.encode_kmac, cost.decode_kmac))
        return Costs(cost.num_parameters, encode_kmac, decode_kmac, encode_bytes, decode_bytes, codec.device.type)

    def encode(self, image: Tensor) -> Encoded:
        """Return the `.lic` stream of one image."""
        return encode_with_estimate(image, self._loaded, self._lmbda)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a `.lic` stream, on the CPU."""
        return decode(stream, self._loaded).cpu()
