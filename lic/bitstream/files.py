"""Which files a command reads and which it writes, settled before any work."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lic.bitstream.container import MAX_PIXELS, BitstreamError
from lic.listing import files_below

MAX_STREAM_BYTES = 4 * MAX_PIXELS
"""More than raw pixels take."""


class Work(NamedTuple):
    """A file to read and the one to write."""

    source: Path
    target: Path


def find_files(
    patterns: Sequence[str], list_folder: Callable[[Path], list[Path]], suffixes: Sequence[str]
) -> dict[Path, Path]:
    """Return the files that patterns name, each with its path inside an output folder.

    Args:
        patterns: files, which need not exist, folders, and globs (`**` reaches into subfolders).
        list_folder: returns the files of a folder and its subfolders.
        suffixes: of the files that count among a glob's matches.

    Raises:
        ValueError: a glob that matches nothing, or what `list_folder` raises.
    """
    files: dict[Path, Path] = {}
    for pattern in patterns:
        is_glob = glob.has_magic(pattern) and not Path(pattern).exists()
        matches = _expand(pattern, suffixes) if is_glob else [Path(pattern)]
        for path in matches:
            is_folder = path.is_dir()
            files |= {file: file.relative_to(path) if is_folder else Path(file.name)
                      for file in (list_folder(path) if is_folder else [path])}  # fmt: skip
    return files


def _expand(pattern: str, suffixes: Sequence[str]) -> list[Path]:
    found = sorted(map(Path, glob.glob(pattern, recursive=True)))
    matches = [path for path in found if path.is_dir() or path.suffix.lower() in suffixes]
    if not matches:
        raise ValueError(f"no file matches '{pattern}'; expected {', '.join(suffixes)}")
    return matches


def list_streams(folder: Path) -> list[Path]:
    """Return the .lic files in a folder and its subfolders, sorted by path.

    Raises:
        ValueError: there is none.
    """
    streams = [path for path in files_below(folder) if path.suffix == ".lic"]
    if not streams:
        raise ValueError(f"folder '{folder}' holds no .lic file")
    return streams


def read_stream(path: Path) -> bytes:
    """Return the bytes of a file that may hold a stream.

    Raises:
        BitstreamError: it is too large for one.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        stream = file.read(MAX_STREAM_BYTES + 1)
    if len(stream) > MAX_STREAM_BYTES:
        raise BitstreamError(f"not a .lic stream: more than {MAX_STREAM_BYTES} bytes")
    return stream


def plan(files: dict[Path, Path], output: str | None, suffix: str) -> list[Work]:
    """Return what to read and write, after making the folders.

    Args:
        files: what `find_files` returns.
        output: a file name with the suffix, if there is one file; else a folder; None: beside each file.
        suffix: of what is written, with its dot.

    Raises:
        ValueError: two files would be written to one place, or over a file that is read.
        OSError: a folder cannot be made.
    """
    works = [Work(source, _target(source, inside, len(files), output, suffix)) for source, inside in files.items()]
    counts = Counter(work.target for work in works)
    sources = {work.source.resolve() for work in works}
    for source, target in works:
        if counts[target] > 1:
            rivals = " and ".join(f"'{work.source}'" for work in works if work.target == target)
            raise ValueError(f"{rivals} would both be written to '{target}'; name them apart, or call this for each")
        if target.resolve() in sources:
            raise ValueError(f"'{target}' is an input and would be overwritten; choose another -o than for '{source}'")
    for folder in {work.target.parent for work in works}:
        folder.mkdir(parents=True, exist_ok=True)
    return works


def _target(source: Path, inside: Path, num_files: int, output: str | None, suffix: str) -> Path:
    if output is None:
        return source.with_suffix(suffix)
    path = Path(output)
    is_folder = path.is_dir() or output.endswith(os.sep) or not path.suffix
    if not is_folder and (num_files > 1 or path.suffix.lower() != suffix):
        expected = "a folder" if num_files > 1 else f"a folder or to end in {suffix}"
        raise ValueError(f"expected -o to be {expected} for {num_files} file(s), came '{output}'")
    return path / inside.with_suffix(suffix) if is_folder else path
