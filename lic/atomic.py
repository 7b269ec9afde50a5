"""Writing files whole or not at all: whatever ends a write half-way leaves what was there before."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have whatever cannot be written in this block say which file: a full disk names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write a file; it takes the place of `path` when the block ends well.

    A link is replaced, not followed. What is no file, such as /dev/stdout, is written to as it is.

    Raises:
        OSError: it cannot be written; `filename` is `path`, and what was there before is kept.
    """
    if path.is_fifo() or path.is_char_device():
        yield path
        return
    temporary = path.with_name(f".lic-{os.getpid()}-{threading.get_ident()}.tmp")  # however long the path's own name
    try:
        with naming(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(content: bytes | str, path: Path) -> None:
    """Write a file at once, text as UTF-8; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
