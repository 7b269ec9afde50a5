"""Images as `.lic` streams: the container, byte by byte (container.py), and the commands around it (commands.py)."""

from lic.bitstream.container import (
    FIXED_BYTES,
    MAX_PIXELS,
    BitstreamError,
    Encoded,
    StreamHeader,
    decode,
    encode,
    encode_with_estimate,
    find_checkpoint,
    find_codec,
    load_cached,
    read_stream_header,
)

__all__ = [
    "FIXED_BYTES",
    "MAX_PIXELS",
    "BitstreamError",
    "Encoded",
    "StreamHeader",
    "decode",
    "encode",
    "encode_with_estimate",
    "find_checkpoint",
    "find_codec",
    "load_cached",
    "read_stream_header",
]
