"""Code images, folders or globs to `.lic` streams.

    python -m lic encode photo.png                               # photo.lic, with the shipped codec for machines
    python -m lic encode photo.png --for eyes                    # with the one for people
    python -m lic encode photos/ -o streams --lmbda 0.03 --jobs 4
    python -m lic encode photo.png --bpp 0.25                    # of the stream, within 1 % where the codec can
    python -m lic encode photos/ --bpp 0.25 --bpp_of folder      # of the mean, at one lmbda for all

Colour profiles and EXIF orientation are applied before coding: decoded pixels are what a viewer shows of the input.
A mistake is one line and exit code 2; files that fail are named, the others go on, and the exit code is 1.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

from lic.bitstream.coding import DEFAULT_LMBDA, Encoding, check_device, checkpoint_files, choose_checkpoint
from lic.bitstream.container import load_cached
from lic.bitstream.files import find_files, plan
from lic.bitstream.jobs import INTERRUPTED, run
from lic.bitstream.rate import lmbda_for_mean
from lic.cli import parse_config
from lic.listing import SUFFIXES, list_images
from lic.settings.streams import EncodeConfig


def main(argv: Sequence[str]) -> int:
    """Code images; return the exit code."""
    config = parse_config(EncodeConfig, argv, "lic encode", str(__doc__))
    check_device(config.device)
    checkpoint = choose_checkpoint(checkpoint_files(config.checkpoint), config.lmbda, config.reader)
    works = plan(find_files(config.inputs, list_images, SUFFIXES), config.output, ".lic")
    lmbda = DEFAULT_LMBDA if config.lmbda is None and not config.checkpoint else config.lmbda
    if not config.checkpoint:
        other = "eyes" if config.reader == "machines" else "machines"
        rate = f"lmbda {lmbda:g}" if config.bpp is None else f"{config.bpp:g} bpp"
        print(f"codec for {config.reader}: {checkpoint.stem}, {rate}; --for {other} takes the other one")
    task = Encoding(checkpoint, lmbda, config.bpp, config.max_pixels, config.tile, config.device)
    if config.bpp is not None and config.bpp_of == "folder":
        try:
            lmbda = lmbda_for_mean(
                load_cached(checkpoint), config.bpp, lambda lmbda: replace(task, lmbda=lmbda, bpp=None),
                [work.source for work in works], config.jobs,
            )  # fmt: skip
        except KeyboardInterrupt:
            print("lic encode: interrupted; no file is written", file=sys.stderr)
            return INTERRUPTED
        task = replace(task, lmbda=lmbda, bpp=None)
    return run("lic encode", task, works, config.jobs)
