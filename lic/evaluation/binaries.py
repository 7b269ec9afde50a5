"""Reference software that a user has built, through CompressAI's bench classes: VTM (VVC), HM (HEVC), BPG.

    python eval.py --baseline vtm --vtm_path VTM/bin --vtm_config VTM/cfg/encoder_intra_vtm.cfg
    python eval.py --baseline hm --hm_path HM/bin --hm_config HM/cfg/encoder_intra_main_rext.cfg
    python eval.py --baseline bpg

The command lines are CompressAI's (compressai/utils/bench/codecs.py, BSD-3-Clause-Clear): one intra picture, YCbCr
4:4:4 by BT.709; for BPG x265 at 8 bits. Its classes code, decode and delete in one go; here streams are kept, so that
reconstructions come of bytes alone. Two deviations. VTM and HM get 10 bits, as in JPEG AI's tests: with CompressAI's 8
bits, cut off, the way to YCbCr and back alone leaves 43.7 dB of Kodak (rounded, 53.0 dB); with 10 bits the pixels come
back. And a raw video does not say its shape, so that two bytes of width precede VTM's and HM's stream.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from argparse import Namespace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from compressai.transforms.functional import rgb2ycbcr, ycbcr2rgb
from compressai.utils.bench.codecs import BPG, HM, VTM
from numpy.typing import NDArray
from torch import Tensor

from lic.bitstream import Encoded
from lic.images import quantise, read_image, write_image
from lic.settings import require

WIDTH_BYTES = 2
BITS = 10

_INSTALL = {
    "vtm": ("build https://vcgit.hhi.fraunhofer.de/jvet/VVCSoftware_VTM (BSD-3-Clause) and give "
            "--vtm_path VTM/bin --vtm_config VTM/cfg/encoder_intra_vtm.cfg"),
    "hm": ("build https://vcgit.hhi.fraunhofer.de/jvet/HM (BSD-3-Clause) and give "
           "--hm_path HM/bin --hm_config HM/cfg/encoder_intra_main_rext.cfg"),
    "bpg": "build https://bellard.org/bpg (GPL-2.0) and give --bpg_path BPG",
}  # fmt: skip
_CONFORMANCE = {
    "vtm": ["--ConformanceWindowMode=1"],
    "hm": ["--SEIDecodedPictureHash", "--Level=5.1", "--ConformanceWindowMode=1"],
}
"""CompressAI's, but for HM: --CUNoSplitIntraACT is known to its screen content branch only, and --ConformanceMode is
HM's --ConformanceWindowMode of long ago; HM 17.0 refuses both."""


class BinaryCoder:
    """What coders that run programs have in common: files in a folder of their own, so that threads do not meet."""

    distortion: str | None = None
    label: str | None = None
    seed: int | None = None
    lmbda: float | None = None
    checkpoint: str | None = None
    scale_percent: int | None = None
    is_threadsafe: bool = True

    def __init__(self, codec: str, qp: int, programs: list[str], settings: str = "", ask: str = "--help") -> None:
        """Keep what results say of a coder.

        Args:
            codec: as results name it.
            qp: the quantisation parameter.
            programs: files that streams depend on; the encoder first.
            settings: what else they depend on.
            ask: the option that makes the encoder say its version.
        """
        self.codec: str = codec
        self.quality: int | None = qp
        self.program: str | None = version_of(programs[0], ask)
        self.fingerprint: str = f"{codec} QP {qp} {' '.join(map(_sha256, programs))} {settings}"


class VideoCoder(BinaryCoder):
    """VTM or HM, one intra picture at one QP.

    Raises:
        ValueError: a program or the configuration is missing.
    """

    def __init__(self, name: Literal["vtm", "hm"], qp: int, folder: str | None, config: str | None) -> None:
        require(folder is not None and config is not None, f"--baseline {name} needs its programs: {_INSTALL[name]}")
        bench = {"vtm": VTM, "hm": HM}[name](
            Namespace(build_dir=Path(str(folder)).expanduser(), config=Path(str(config)).expanduser(), rgb=False)
        )
        self._encoder, self._decoder, self._config = bench.encoder_path, bench.decoder_path, bench.config_path
        for path in (self._encoder, self._decoder, self._config):
            require(Path(path).is_file(), f"--baseline {name} finds no {path}: {_INSTALL[name]}")
        super().__init__(name, qp, [self._encoder, self._decoder, self._config], f"{BITS} bits")

    def encode(self, image: Tensor) -> Encoded:
        """Return the width in two bytes, and the stream."""
        height, width = image.shape[-2:]
        with tempfile.TemporaryDirectory() as folder:
            video, stream = Path(folder, "image.yuv"), Path(folder, "stream.bin")
            video.write_bytes(to_ycbcr(image).tobytes())
            run_program(self.encode_command(video, stream, width, height))
            return Encoded(width.to_bytes(WIDTH_BYTES, "little") + stream.read_bytes(), None)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a stream."""
        width = int.from_bytes(stream[:WIDTH_BYTES], "little")
        with tempfile.TemporaryDirectory() as folder:
            video, file = Path(folder, "image.yuv"), Path(folder, "stream.bin")
            file.write_bytes(stream[WIDTH_BYTES:])
            run_program([self._decoder, "-b", file, "-o", video, "-d", BITS])
            return from_ycbcr(np.fromfile(video, dtype="<u2").reshape(3, -1, width))

    def encode_command(self, video: Path, stream: Path, width: int, height: int) -> list[Any]:
        """Return CompressAI's command line, at 10 bits, with what HM knows; see `_CONFORMANCE`."""
        return [
            self._encoder, "-i", video, "-c", self._config, "-q", self.quality, "-o", "/dev/null", "-b", stream,
            "-wdt", width, "-hgt", height, "-fr", "1", "-f", "1", "--InputChromaFormat=444", f"--InputBitDepth={BITS}",
            f"--InternalBitDepth={BITS}",
            *_CONFORMANCE[self.codec],
        ]  # fmt: skip


class BpgCoder(BinaryCoder):
    """BPG at one QP, with CompressAI's settings: x265, 8 bits, YCbCr 4:4:4; the whole file counts.

    Args:
        qp: 0 .. 51.
        folder: of bpgenc and bpgdec; None: where the shell finds them.

    Raises:
        ValueError: a program is missing.
    """

    def __init__(self, qp: int, folder: str | None) -> None:
        found = find_programs("bpg", ("bpgenc", "bpgdec"), folder, _INSTALL["bpg"])
        settings = Namespace(m="444", b="8", c="ycbcr", e="x265", encoder_path=found[0], decoder_path=found[1])
        self._bench = BPG(settings)
        super().__init__("bpg", qp, found, "x265 444 8 ycbcr", "-h")

    def encode(self, image: Tensor) -> Encoded:
        """Return the bytes of the file."""
        with tempfile.TemporaryDirectory() as folder:
            png, stream = Path(folder, "image.png"), Path(folder, "stream.bpg")
            write_image(image, png)
            run_program(self._bench._get_encode_cmd(png, self.quality, stream))
            return Encoded(stream.read_bytes(), None)

    def decode(self, stream: bytes) -> Tensor:
        """Return the image in a file."""
        with tempfile.TemporaryDirectory() as folder:
            file, png = Path(folder, "stream.bpg"), Path(folder, "image.png")
            file.write_bytes(stream)
            run_program(self._bench._get_decode_cmd(file, png))
            return read_image(png)


def find_programs(baseline: str, names: tuple[str, str], folder: str | None, install: str) -> list[str]:
    """Return the paths of an encoder and a decoder in a folder; None: where the shell finds them.

    Raises:
        ValueError: one is missing; with what to install.
    """
    programs = [shutil.which(name, path=folder and str(Path(folder).expanduser())) for name in names]
    found = [program for program in programs if program is not None]
    require(len(found) == 2, f"--baseline {baseline} finds no {' and '.join(names)}: {install}")
    return found


@lru_cache
def version_of(program: str, ask: str) -> str:
    """Return the line in which a program says its version, such as `VVCSoftware: VTM Encoder Version 23.4 [Linux]`."""
    try:
        done = subprocess.run([program, ask], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return f"{Path(program).name}, version unknown"
    lines = [" ".join(line.split()) for line in done.stdout.decode(errors="replace").splitlines()]
    said = [line for line in lines if re.search(r"\bversion\W*\d", line, re.IGNORECASE)]
    return said[0][:200] if said else f"{Path(program).name}, version unknown"


def run_program(command: list[Any]) -> None:
    """Run a program.

    Raises:
        ValueError: it failed; with the last line that it said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    said = [line for line in done.stdout.splitlines() if line.strip()] or ["no word"]
    require(done.returncode == 0, f"{Path(words[0]).name} failed with code {done.returncode}: {said[-1].strip()}")


@lru_cache
def _sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_ycbcr(image: Tensor) -> NDArray[np.uint16]:
    """Return planes of Y, Cb, Cr, (3, H, W), of 10 bits, little-endian."""
    planes = rgb2ycbcr(quantise(image)) * (2**BITS - 1)
    samples: NDArray[np.uint16] = planes[0].round().clamp(0, 2**BITS - 1).numpy().astype("<u2")
    return samples


def from_ycbcr(planes: NDArray[np.uint16]) -> Tensor:
    """Return an image, (1, 3, H, W), RGB in [0, 1]."""
    image: Tensor = ycbcr2rgb(torch.from_numpy(planes.astype(np.float32))[None] / (2**BITS - 1))
    return image.clamp(0, 1)
