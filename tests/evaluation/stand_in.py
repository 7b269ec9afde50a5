"""Takes the command lines of VTM, HM and BPG and codes with JPEG; see test_binaries.py."""

import itertools
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def encode_video(flags: dict[str, str]) -> None:
    """Planes of Y, Cb, Cr to a JPEG of the same components."""
    assert Path(flags["-c"]).is_file() and flags["-f"] == "1" and "--InputChromaFormat=444" in sys.argv
    width, height = int(flags["-wdt"]), int(flags["-hgt"])
    assert "--InputBitDepth=10" in sys.argv and "--InternalBitDepth=10" in sys.argv
    planes = (np.fromfile(flags["-i"], "<u2").reshape(3, height, width) / 1023 * 255).round().astype(np.uint8)
    picture = Image.fromarray(planes.transpose(1, 2, 0).copy(), "YCbCr")
    picture.save(flags["-b"], "jpeg", quality=140 - 2 * int(flags["-q"]), subsampling=0)


def decode_video(flags: dict[str, str]) -> None:
    """Back."""
    assert flags["-d"] == "10"
    picture = Image.open(flags["-b"])
    picture.draft("YCbCr", picture.size)
    (np.asarray(picture).transpose(2, 0, 1) / 255 * 1023).round().astype("<u2").tofile(flags["-o"])


def main(name: str, words: list[str]) -> None:
    """Be the program of this name."""
    flags = dict(itertools.pairwise(words))
    if name == "bpgenc":
        Image.open(words[-1]).save(flags["-o"], "jpeg", quality=140 - 2 * int(flags["-q"]), subsampling=0)
    elif name == "bpgdec":
        Image.open(words[-1]).save(flags["-o"], "png")
    elif "Encoder" in name:
        encode_video(flags)
    else:
        decode_video(flags)


if __name__ == "__main__":
    main(Path(sys.argv[0]).name, sys.argv[1:])
