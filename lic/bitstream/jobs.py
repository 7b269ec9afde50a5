"""Runs a task over many files, in one process or several; writes each result as it comes, whole or not at all."""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from rich.progress import Progress

from lic.atomic import write_file
from lic.bitstream.files import Work
from lic.printing import Console
from lic.processes import outcomes_of

INTERRUPTED = 130  # as shells count: 128 + SIGINT


class Coded(NamedTuple):
    """What coding a file gives.

    Attributes:
        content: of the file to write.
        num_bytes: of the stream.
        num_pixels: of the image.
        seconds: that it took, without loading the codec.
    """

    content: bytes
    num_bytes: int
    num_pixels: int
    seconds: float

    def __str__(self) -> str:
        bpp = 8 * self.num_bytes / max(self.num_pixels, 1)
        return f"{bpp:.3f} bpp  {self.num_bytes} bytes  {self.seconds:.2f} s"


Task = Callable[[Path], Coded]  # can be pickled; its mistakes are ValueError, OSError, RuntimeError or MemoryError


def run(prog: str, task: Task, works: Sequence[Work], jobs: int) -> int:
    """Do all work, print a line for each file, a total for several, and a progress bar on a terminal.

    Files that fail are named in one line each, and the others go on.

    Args:
        prog: the program's name in messages.
        task: what turns a file into another.
        works: the files.
        jobs: how many processes at a time.

    Returns:
        The exit code: 0, 1 if files failed, 130 after Ctrl-C.
    """
    console = Console(soft_wrap=True)
    done: list[Coded] = []
    start = perf_counter()
    try:
        with (
            Progress(console=console, disable=not console.is_terminal) as progress,
            closing(outcomes_of(partial(attempt, task), [work.source for work in works], jobs)) as outcomes,
        ):
            bar = progress.add_task(prog, total=len(works))
            for work, outcome in zip(works, outcomes, strict=True):
                if failure := outcome if isinstance(outcome, str) else _write(outcome.content, work.target):
                    print(f"{prog}: {failure}", file=sys.stderr)
                elif isinstance(outcome, Coded):
                    done.append(outcome._replace(content=b""))
                    console.print(f"{work.target}  {outcome}")
                progress.advance(bar)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted; {len(done)} of {len(works)} files are written", file=sys.stderr)
        return INTERRUPTED
    return _close(prog, console, done, len(works), perf_counter() - start)


def _close(prog: str, console: Console, done: list[Coded], num_works: int, seconds: float) -> int:
    if num_works > 1:
        total = Coded(b"", sum(each.num_bytes for each in done), sum(each.num_pixels for each in done), seconds)
        console.print(f"{len(done)} files  {total}")
    if len(done) < num_works:
        print(f"{prog}: {num_works - len(done)} of {num_works} files failed", file=sys.stderr)
    return int(len(done) < num_works)


def _write(content: bytes, path: Path) -> str:
    """Return why a file could not be written; empty if it is."""
    try:
        write_file(content, path)
    except OSError as error:
        return f"cannot write '{path}': {error.strerror or error}"
    return ""


def attempt(task: Task, path: Path) -> Coded | str:
    """Return what a task makes of a file, or in one line why it fails."""
    try:
        return task(path)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = (text.strip().splitlines() or [type(error).__name__])[0]
        return reason if str(path) in reason else f"{path}: {reason}"
