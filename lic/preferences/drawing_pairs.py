"""Pairs of many references, drawn in several processes."""

import hashlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lic.images import UnreadableImage, to_png, write_file
from lic.preferences.kinds.strengths import Pixels
from lic.preferences.match import Matched, draw_pairs
from lic.preferences.plan import Source

AHEAD = 1  # references drawn ahead of the votes, for each process; an interruption loses no more


class Job(NamedTuple):
    """A reference to draw pairs of; `folder` gets the files, distorted images among them if they are kept."""

    source: Source
    folder: Path
    num_pairs: int
    tolerance_db: float
    seed: int
    keep_images: bool


class Drawn(NamedTuple):
    """A reference's pixels and its pairs; or why it cannot be used."""

    source: Source
    reference: Pixels
    matched: Matched
    problem: str = ""


def reference_file(name: str) -> str:
    """Return a reference's file, relative to the folder."""
    return f"references/{name}.png"


def image_file(name: str, pair: int, side: str) -> str:
    """Return a distorted image's file, relative to the folder; side is a or b."""
    return f"images/{name}-{pair}{side}.png"


def draw(job: Job) -> Drawn:
    """Return the pairs of a reference, having written its files."""
    try:
        reference = job.source.read()
    except UnreadableImage as error:
        return Drawn(job.source, np.zeros((1, 1, 3), np.uint8), Matched([], Counter()), str(error))
    digest = hashlib.sha256(job.source.name.encode()).digest()
    rng = np.random.default_rng([job.seed, int.from_bytes(digest[:8], "big")])
    matched = draw_pairs(reference, job.num_pairs, job.tolerance_db, rng)
    _write(reference, job.folder / reference_file(job.source.name))
    for number, pair in enumerate(matched.pairs if job.keep_images else []):
        for side, distorted in zip("ab", pair, strict=True):
            _write(distorted.image, job.folder / image_file(job.source.name, number, side))
    return Drawn(job.source, reference, matched)


def _write(pixels: Pixels, path: Path) -> None:
    write_file(to_png(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255), path)


def draw_all(jobs: Sequence[Job], num_processes: int) -> Iterator[Drawn]:
    """Yield what `draw` returns, in order; one process draws here, without another.

    Raises:
        ValueError: a process ended early.
    """
    if num_processes == 1 or len(jobs) < 2:
        yield from map(draw, jobs)
        return
    executor = ProcessPoolExecutor(min(num_processes, len(jobs)), get_context("spawn"), _prepare)
    try:
        waiting: list[Future[Drawn]] = []
        for job in jobs:
            waiting.append(executor.submit(draw, job))
            if len(waiting) > AHEAD * num_processes:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
    except BrokenProcessPool as error:
        raise ValueError("a process ended early, probably for lack of memory; give fewer --jobs") from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _prepare() -> None:
    """Make a process compute with one thread, leave Ctrl-C to its parent, and end with it even if that is killed."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
