"""Decode `.lic` streams to PNG images.

    python -m lic decode photo.lic -o out.png
    python -m lic decode streams/ -o pictures --jobs 4

A mistake is one line and exit code 2; files that fail are named, the others go on, and the exit code is 1.
"""

from collections.abc import Sequence

from lic.bitstream.coding import Decoding, check_device, checkpoint_files
from lic.bitstream.files import find_files, list_streams, plan
from lic.bitstream.jobs import run
from lic.cli import parse_config
from lic.settings.streams import DecodeConfig


def main(argv: Sequence[str]) -> int:
    """Decode streams; return the exit code."""
    config = parse_config(DecodeConfig, argv, "lic decode", str(__doc__))
    check_device(config.device)
    checkpoints = checkpoint_files(config.checkpoint)
    works = plan(find_files(config.inputs, list_streams, [".lic"]), config.output, ".png")
    return run("lic decode", Decoding(checkpoints, config.max_pixels, config.tile, config.device), works, config.jobs)
