"""Fetch a set of images in the layout that the readers take: coco-val, voc2012, kodak, clic2020.

    python -m lic download kodak
    python -m lic download coco-val -o /data
    python -m lic download imagenet         # where to register, how to lay it out

A file is received as FOLDER/.download/NAME.part; after a dropped connection, Ctrl-C or a full disk the same command
goes on from there. Nothing that lies in FOLDER is overwritten.

What is verified: the length that the server tells, the CRC-32 that zip and PNG carry, and checksums that others have
published for these addresses: torchvision the MD5 of VOC 2012 (`datasets/voc.py`), TensorFlow Datasets the SHA-256 of
COCO's and CLIC's archives (`url_checksums/`). The SHA-256 of what came is printed, and noted in
FOLDER/.download/NAME.json.
"""

import argparse
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from lic.cli import KEEP_LINES, fail
from lic.data.download import IMAGENET, SETS, download


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail("lic download", message)


def main(argv: list[str], mirror: str | None = None) -> int:
    """Fetch a set, or say how to get it.

    Args:
        argv: the words after `python -m lic download`.
        mirror: see `download`.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.
    """
    names = [*SETS, "imagenet"]
    parser = _Parser("lic download", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("name", metavar="NAME", help=", ".join(names))
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, default=Path("data"), help="where to (data)")
    options = parser.parse_args(argv)
    if options.name == "imagenet":
        print(IMAGENET)
        return 0
    if options.name not in names:
        near = get_close_matches(options.name, names, n=1, cutoff=0.4)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise ValueError(f"set '{options.name}' is unknown{hint} Choose from: {', '.join(names)}")
    try:
        download(options.name, options.output, mirror)
    except KeyboardInterrupt:
        kept = f"what came is kept in '{options.output / '.download'}', the same command goes on from there"
        print(f"lic download: interrupted; {kept}", file=sys.stderr)
        return 130
    return 0
