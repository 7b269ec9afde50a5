"""Coders: one operating point each of anything that turns an image into bytes and back."""

import io
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lic.bitstream import Encoded, decode, encode_with_estimate
from lic.codecs import LoadedCodec
from lic.config import BaselineName
from lic.images import to_uint8


class Coder(Protocol):
    """An operating point.

    Attributes:
        codec, distortion, lmbda, quality, checkpoint: as in the results file.
    """

    codec: str
    distortion: str | None
    lmbda: float | None
    quality: int | None
    checkpoint: str | None
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
    is_threadsafe = False

    def __init__(self, loaded: LoadedCodec, lmbda: float, device: torch.device) -> None:
        self._loaded, self._lmbda = loaded, lmbda
        if loaded.codec.lmbdas:
            loaded.codec.gain(lmbda)  # refuses what is out of range before anything is coded
        loaded.codec.to(device).eval()
        self.codec: str = loaded.header.codec
        self.distortion: str | None = loaded.header.distortion
        self.lmbda: float | None = lmbda
        self.checkpoint: str | None = loaded.sha256
        self.fingerprint = f"{loaded.sha256} {lmbda}"

    def encode(self, image: Tensor) -> Encoded:
        """Return the `.lic` stream of one image."""
        return encode_with_estimate(image, self._loaded, self._lmbda)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a `.lic` stream, on the CPU."""
        return decode(stream, self._loaded).cpu()


class PillowCoder:
    """JPEG or WebP through Pillow at one quality; the whole file counts."""

    distortion: str | None = None
    lmbda: float | None = None
    checkpoint: str | None = None
    is_threadsafe = True

    def __init__(self, name: BaselineName, quality: int) -> None:
        self.codec: str = name
        self.quality: int | None = quality
        self.fingerprint = f"{name} {quality} Pillow"
        self._settings = {"optimize": True} if name == "jpeg" else {"method": 6}

    def encode(self, image: Tensor) -> Encoded:
        """Return the bytes of the file."""
        file = io.BytesIO()
        pixels = to_uint8(image)[0].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, self.codec, quality=self.quality, **self._settings)
        return Encoded(file.getvalue(), None)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a file."""
        pixels = np.array(Image.open(io.BytesIO(stream)).convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


QUALITIES: dict[BaselineName, tuple[int, ...]] = {"jpeg": (5, 10, 20, 40), "webp": (0, 10, 30, 60)}
"""The grids that `eval.py` draws curves from."""


def quality_for_bpp(name: BaselineName, images: list[Tensor], bpp: float) -> int:
    """Return the quality whose mean rate over images is nearest to a rate; rates rise with quality."""

    def mean_bpp(quality: int) -> float:
        coder = PillowCoder(name, quality)
        return sum(8 * len(coder.encode(image).content) / image[0, 0].numel() for image in images) / len(images)

    low, high = 1, 95
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if mean_bpp(middle) < bpp else (low, middle)
    return min((max(low - 1, 1), low), key=lambda quality: abs(mean_bpp(quality) - bpp))

