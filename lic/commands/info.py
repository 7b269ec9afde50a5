"""Show what `.lic` streams and checkpoints say of themselves.

    python -m lic info photo.lic
    python -m lic info runs/NAME/codec.safetensors    # also parameters, multiply-accumulates per pixel, peak memory
"""

import sys
from collections.abc import Sequence

from lic.bitstream.coding import check_device, checkpoint_files, describe, describe_checkpoint
from lic.bitstream.container import BitstreamError
from lic.bitstream.files import find_files, list_streams
from lic.cli import parse_config
from lic.settings.streams import InfoConfig


def main(argv: Sequence[str]) -> int:
    """Print what streams say of themselves; return the exit code."""
    config = parse_config(InfoConfig, argv, "lic info", str(__doc__))
    check_device(config.device)
    checkpoints, code = checkpoint_files(config.checkpoint), 0
    for path in find_files(config.inputs, list_streams, [".lic", ".safetensors", ".ckpt"]):
        try:
            is_checkpoint = path.suffix in (".safetensors", ".ckpt")
            print(describe_checkpoint(path, config.device) if is_checkpoint else describe(path, checkpoints))
        except (BitstreamError, OSError) as error:
            print(f"lic info: {path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
            code = 1
    return code
