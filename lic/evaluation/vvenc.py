"""VVenC and VVdeC, Fraunhofer's fast VVC, by their command lines; for those who cannot wait for VTM.

    python eval.py --baseline vvenc --vvenc_path vvenc/bin/release-static

VVenC codes 4:2:0 only ("Intern chroma format must be either 400, 420", vvencCfg.cpp), of 10 bits here. Colour loses
half its rows and columns before anything is coded, by CompressAI's two functions, so that at high rates its PSNR in RGB
stays below VTM's 4:4:4; docs/evaluate.md has the number. A raw video says no size: two bytes each of width and height
precede the stream.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressai.transforms.functional import rgb2ycbcr, ycbcr2rgb, yuv_420_to_444, yuv_444_to_420
from numpy.typing import NDArray
from torch import Tensor

from lic.bitstream import Encoded
from lic.evaluation.binaries import BITS, BinaryCoder, find_programs, run_program
from lic.images import crop_to, pad_to_multiple, quantise

SIZE_BYTES = 2
PRESET = "medium"
WHITE = 2**BITS - 1
_INSTALL = (
    "build https://github.com/fraunhoferhhi/vvenc and https://github.com/fraunhoferhhi/vvdec (BSD-3-Clause-Clear), put "
    "vvencapp and vvdecapp into one folder and give --vvenc_path FOLDER"
)


class VvencCoder(BinaryCoder):
    """VVenC at one QP: one intra picture, preset medium, without its perceptual shifts of the QP, which VTM has not.

    Args:
        qp: 0 .. 63.
        folder: of vvencapp and vvdecapp; None: where the shell finds them.

    Raises:
        ValueError: a program is missing.
    """

    def __init__(self, qp: int, folder: str | None) -> None:
        programs = find_programs("vvenc", ("vvencapp", "vvdecapp"), folder, _INSTALL)
        self._encoder, self._decoder = programs
        super().__init__("vvenc", qp, programs, f"{PRESET} 420 {BITS} bits", "--version")

    def encode(self, image: Tensor) -> Encoded:
        """Return width and height in two bytes each, and the stream."""
        height, width = image.shape[-2:]
        padded = pad_to_multiple(image, 2)
        with tempfile.TemporaryDirectory() as folder:
            video, stream = Path(folder, "image.yuv"), Path(folder, "stream.266")
            video.write_bytes(b"".join(plane.tobytes() for plane in to_planes(padded)))
            run_program(self.encode_command(video, stream, padded.shape[-1], padded.shape[-2]))
            sides = (side.to_bytes(SIZE_BYTES, "little") for side in (width, height))
            return Encoded(b"".join((*sides, stream.read_bytes())), None)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a stream."""
        width, height = (int.from_bytes(stream[i : i + SIZE_BYTES], "little") for i in (0, SIZE_BYTES))
        with tempfile.TemporaryDirectory() as folder:
            video, file = Path(folder, "image.yuv"), Path(folder, "stream.266")
            file.write_bytes(stream[2 * SIZE_BYTES :])
            run_program([self._decoder, "-b", file, "-o", video, "-t", 1])
            samples = np.fromfile(video, dtype="<u2")
            return crop_to(from_planes(samples, height + height % 2, width + width % 2), height, width)

    def encode_command(self, video: Path, stream: Path, width: int, height: int) -> list[Any]:
        """Return the command line: by one thread, as evaluations run several; the QP is that of the intra picture."""
        return [
            self._encoder, "-i", video, "-s", f"{width}x{height}", "-c", "yuv420_10", "-f", 1, "-r", 1, "-ip", 1,
            "-q", self.quality, "--qpa", 0, "--preset", PRESET, "-t", 1, "--additional", "IntraQPOffset=0",
            "-o", stream,
        ]  # fmt: skip


def to_planes(image: Tensor) -> list[NDArray[np.uint16]]:
    """Return Y, (H, W), and Cb and Cr, (H / 2, W / 2), of 10 bits, little-endian, of an image (1, 3, H, W)."""
    planes = yuv_444_to_420(rgb2ycbcr(quantise(image)), mode="avg_pool")
    return [(plane[0, 0] * WHITE).round().clamp(0, WHITE).numpy().astype("<u2") for plane in planes]


def from_planes(samples: NDArray[np.uint16], height: int, width: int) -> Tensor:
    """Return an image, (1, 3, H, W), RGB in [0, 1], of the three planes one after the other."""
    pieces = torch.from_numpy(samples.astype(np.float32) / WHITE).split([height * width, *[height * width // 4] * 2])
    sides = ((height, width), *[(height // 2, width // 2)] * 2)
    planes = tuple(piece.reshape(1, 1, *size) for piece, size in zip(pieces, sides, strict=True))
    image: Tensor = ycbcr2rgb(yuv_420_to_444(planes, mode="bilinear"))
    return image.clamp(0, 1)
