"""Coding at several sizes, as MPEG's anchors of coding for machines are made.

A picture is made smaller, coded, decoded, and enlarged again; of all sizes and QPs the points that no cheaper one
equals make the anchor (lic/curves/front.py). At low rates a network may read a small picture of fine steps better than
a large one of coarse steps. The sizes are those of CompressAI-Vision (`scale=ceil(iw*3/8)*2…` for 75 %). Two
deviations: MPEG scales by ffmpeg and codes 4:2:0; here it is Pillow's bicubic filter, and the 4:4:4 of
`--baseline vtm`.
"""

import math

import numpy as np
from PIL import Image
from torch import Tensor

from lic.bitstream import Encoded
from lic.evaluation.coders import Coder
from lic.images import from_pixels, to_pixels

SCALES = (100, 75, 50, 25)
"""Percent of the sides."""
SIZE_BYTES = 2


class ScaledCoder:
    """A coder behind a smaller size; two bytes each of width and height precede its stream.

    Args:
        coder: what codes.
        percent: of the sides.
    """

    def __init__(self, coder: Coder, percent: int) -> None:
        self._coder = coder
        self.codec: str = f"{coder.codec}-scaled"
        self.distortion, self.label, self.seed, self.lmbda = coder.distortion, coder.label, coder.seed, coder.lmbda
        self.quality, self.checkpoint, self.program = coder.quality, coder.checkpoint, coder.program
        self.is_threadsafe = coder.is_threadsafe
        self.scale_percent: int | None = percent
        self.fingerprint = f"{coder.fingerprint} at {percent} %"

    def encode(self, image: Tensor) -> Encoded:
        """Return the image's size, and the stream of the smaller image."""
        height, width = image.shape[-2:]
        smaller = _resized(image, *(scaled_side(side, int(self.scale_percent or 100)) for side in (height, width)))
        sides = b"".join(side.to_bytes(SIZE_BYTES, "little") for side in (width, height))
        return Encoded(sides + self._coder.encode(smaller).content, None)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a stream, at its own size."""
        width, height = (int.from_bytes(stream[i : i + SIZE_BYTES], "little") for i in (0, SIZE_BYTES))
        return _resized(self._coder.decode(stream[2 * SIZE_BYTES :]), height, width)


def scaled_side(side: int, percent: int) -> int:
    """Return a side at a percentage: even as MPEG has it, at 100 % the side itself."""
    return side if percent == 100 else 2 * math.ceil(side * percent / 200)


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    if (height, width) == tuple(image.shape[-2:]):
        return image
    page = Image.fromarray(to_pixels(image)).resize((width, height), Image.Resampling.BICUBIC)
    return from_pixels(np.asarray(page))
