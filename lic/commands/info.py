"""Show what `.lic` streams say of themselves.

    python -m lic info photo.lic
"""

import sys
from collections.abc import Sequence

from lic.bitstream.coding import checkpoint_files, describe
from lic.bitstream.container import BitstreamError
from lic.bitstream.files import find_files, list_streams
from lic.cli import parse_config
from lic.settings.streams import InfoConfig


def main(argv: Sequence[str]) -> int:
    """Print what streams say of themselves; return the exit code."""
    config = parse_config(InfoConfig, argv, "lic info", str(__doc__))
    checkpoints, code = checkpoint_files(config.checkpoint), 0
    for path in find_files(config.inputs, list_streams, [".lic"]):
        try:
            print(describe(path, checkpoints))
        except (BitstreamError, OSError) as error:
            print(f"lic info: {path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
            code = 1
    return code
