"""Baselines: the codecs people already have, as coders; Pillow's here, reference software in `binaries.py`."""

import io
from typing import Any, Literal

import numpy as np
import PIL
import torch
from PIL import Image, features
from torch import Tensor

from lic.bitstream import Encoded
from lic.evaluation.binaries import BpgCoder, VideoCoder
from lic.evaluation.coders import Coder
from lic.evaluation.protocols import FILE, Protocol
from lic.evaluation.scaled import SCALES, ScaledCoder
from lic.evaluation.vvenc import VvencCoder
from lic.images import to_uint8
from lic.settings import require
from lic.settings.evaluate import EvalConfig

PillowName = Literal["jpeg", "webp", "avif", "jpeg2000"]

QUALITIES: dict[PillowName, tuple[int, ...]] = {
    "jpeg": (5, 10, 20, 40, 70),
    "webp": (0, 10, 30, 60, 80),
    "avif": (5, 20, 35, 50, 70),
    "jpeg2000": (24, 27, 30, 33, 36),
}
"""The grids that `eval.py` draws curves from, 0.1 .. 1.2 bpp on Kodak's photographs. JPEG 2000's quality is a PSNR."""

QPS = (22, 27, 32, 37, 42, 47)
"""The quantisation parameters of HM, VTM and BPG: MPEG's usual four, and two beyond for low rates."""

_SETTINGS: dict[PillowName, dict[str, Any]] = {
    "jpeg": {"optimize": True},
    "webp": {"method": 6},
    # 4:2:0, as Pillow has it; one thread, because libavif cuts the picture into as many tiles as there are threads
    "avif": {"speed": 6, "max_threads": 1},
    # the 9/7 wavelet on YCbCr, which Pillow leaves out; a bare codestream without OpenJPEG's advertisement
    "jpeg2000": {"irreversible": True, "mct": 1, "no_jp2": True, "comment": " "},
}
_LIBRARY = {"jpeg": "jpg", "webp": "webp", "avif": "avif", "jpeg2000": "jpg_2000"}


class PillowCoder:
    """JPEG, WebP, AVIF or JPEG 2000 through Pillow at one quality; the whole file counts.

    The quality is Pillow's, for JPEG 2000 the PSNR in dB that each image shall have. Encoding and decoding give other
    threads their turn, but JPEG 2000's, both of which hold Python's lock throughout.

    Raises:
        ValueError: this Pillow was built without the format.
    """

    distortion: str | None = None
    label: str | None = None
    seed: int | None = None
    lmbda: float | None = None
    checkpoint: str | None = None
    scale_percent: int | None = None
    is_threadsafe: bool = True

    def __init__(self, name: PillowName, quality: int) -> None:
        require(
            bool(features.check(_LIBRARY[name])),
            f"this Pillow {PIL.__version__} was built without {name}; `pip install --upgrade pillow` has it",
        )
        self.codec: str = name
        self.quality: int | None = quality
        own = {"quality_mode": "dB", "quality_layers": [quality]} if name == "jpeg2000" else {"quality": quality}
        self._settings = {**_SETTINGS[name], **own}
        library = "libjpeg_turbo" if name == "jpeg" else _LIBRARY[name]
        self.program: str | None = f"Pillow {PIL.__version__}, {library} {features.version(library)}"
        self.fingerprint: str = f"{name} {self._settings} {self.program}"

    def encode(self, image: Tensor) -> Encoded:
        """Return the bytes of the file."""
        file = io.BytesIO()
        pixels = to_uint8(image)[0].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, self.codec, **self._settings)
        return Encoded(file.getvalue(), None)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a file."""
        pixels = np.array(Image.open(io.BytesIO(stream)).convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def baseline_coders(config: EvalConfig) -> list[Coder]:
    """Return the baselines of an evaluation at all qualities of their grids.

    Raises:
        ValueError: a binary is missing; in one line with what to install.
    """
    coders: list[Coder] = []
    for name in config.baseline:
        match name:
            case "vtm":
                coders += [VideoCoder("vtm", qp, config.vtm_path, config.vtm_config) for qp in QPS]
            case "vtm-scaled":
                whole = [VideoCoder("vtm", qp, config.vtm_path, config.vtm_config) for qp in QPS]
                coders += [ScaledCoder(each, percent) for percent in SCALES for each in whole]
            case "vvenc":
                coders += [VvencCoder(qp, config.vvenc_path) for qp in QPS]
            case "hm":
                coders += [VideoCoder("hm", qp, config.hm_path, config.hm_config) for qp in QPS]
            case "bpg":
                coders += [BpgCoder(qp, config.bpg_path) for qp in QPS]
            case _:
                coders += [PillowCoder(name, quality) for quality in QUALITIES[name]]
    return coders


def quality_for_bpp(name: PillowName, pictures: list[Tensor], bpp: float, protocol: Protocol = FILE) -> int:
    """Return the quality whose mean rate over pictures is nearest to a rate; rates rise with quality."""
    pairs = [(protocol.to_coder(picture), picture[0, 0].numel()) for picture in pictures]

    def mean_bpp(quality: int) -> float:
        coder = PillowCoder(name, quality)
        return sum(8 * len(coder.encode(image).content) / num_px for image, num_px in pairs) / len(pairs)

    low, high = 1, 95
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if mean_bpp(middle) < bpp else (low, middle)
    return min((max(low - 1, 1), low), key=lambda quality: abs(mean_bpp(quality) - bpp))
