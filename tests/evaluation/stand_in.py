"""Takes the command lines of VTM, VVenC, HM and BPG and codes with JPEG; see test_binaries.py."""

import io
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


def encode_420(flags: dict[str, str]) -> None:
    """Planes of Y, and of Cb and Cr at half its size, to two JPEGs, of Y and of the colour planes side by side."""
    assert (flags["-c"], flags["-f"], flags["-t"], flags["--qpa"]) == ("yuv420_10", "1", "1", "0")
    width, height = map(int, flags["-s"].split("x"))
    assert width % 2 == height % 2 == 0
    samples = (np.fromfile(flags["-i"], "<u2") / 1023 * 255).round().astype(np.uint8)
    luma, colours = np.split(samples, [width * height])
    with open(flags["-o"], "wb") as file:
        for plane in (luma.reshape(height, width), colours.reshape(height, width // 2)):
            data = io.BytesIO()
            Image.fromarray(plane).save(data, "jpeg", quality=140 - 2 * int(flags["-q"]))
            file.write(len(data.getvalue()).to_bytes(4, "little") + data.getvalue())


def decode_420(flags: dict[str, str]) -> None:
    """Back."""
    assert flags["-t"] == "1"
    stream = Path(flags["-b"]).read_bytes()
    with open(flags["-o"], "wb") as file:
        while stream:
            length = int.from_bytes(stream[:4], "little")
            plane = np.asarray(Image.open(io.BytesIO(stream[4 : 4 + length])))
            (plane / 255 * 1023).round().astype("<u2").tofile(file)
            stream = stream[4 + length :]


VERSIONS = {  # as the real programs say them
    "EncoderAppStatic": ("--help", "\nVVCSoftware: VTM Encoder Version 23.13 [Linux][GCC 14.2.0][64 bit] \n"),
    "TAppEncoderStatic": ("--help", "\nHM software: Encoder Version [17.0] (including RExt)[Linux][GCC 14.2.0]\n"),
    "bpgenc": ("-h", "BPG Image Encoder version 0.9.8\nusage: bpgenc [options] infile.[jpg|png]\n"),
    "vvencapp": ("--version", "vvencapp version 1.15.0-dev\n"),
}


def main(name: str, words: list[str]) -> None:
    """Be the program of this name."""
    if words == [VERSIONS.get(name, ("",))[0]]:
        print(VERSIONS[name][1])
        sys.exit(1 if name == "EncoderAppStatic" else 0)
    flags = dict(itertools.pairwise(words))
    if name in ("vvencapp", "vvdecapp"):
        (encode_420 if name == "vvencapp" else decode_420)(flags)
    elif name == "bpgenc":
        Image.open(words[-1]).save(flags["-o"], "jpeg", quality=140 - 2 * int(flags["-q"]), subsampling=0)
    elif name == "bpgdec":
        Image.open(words[-1]).save(flags["-o"], "png")
    elif "Encoder" in name:
        encode_video(flags)
    else:
        decode_video(flags)


if __name__ == "__main__":
    main(Path(sys.argv[0]).name, sys.argv[1:])
