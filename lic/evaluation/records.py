"""What became of each image, kept batch by batch: an interrupted evaluation goes on, and processes share the work.

A key names an operating point on a list of images with its tasks. Its records are lines of JSON in `KEY.RANK.jsonl`,
one line per batch and one file per process; whoever reads the key gets the batches of all of them. The line that an
interruption cut short is no JSON, and its batch is done again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lic.atomic import naming
from lic.embedded import PACKAGE


class Measured(NamedTuple):
    """What coding one image cost and how good the reconstruction is; see `lic.curves.results.Point`."""

    bpp: float
    bpp_estimated: float | None
    encode_seconds: float
    decode_seconds: float
    num_px: int
    qualities: dict[str, float]


class Record(NamedTuple):
    """One image at one operating point.

    Attributes:
        predictions: by name of the task, of those tasks whose image it is.
        measured: None for originals, which are not coded.
    """

    predictions: dict[str, Any]
    measured: Measured | None


class Records:
    """The records of one key.

    Args:
        folder: where they are kept, made if need be; None: in memory only.
        key: what `records_key` returned.
        rank: of this process.
    """

    def __init__(self, folder: Path | None, key: str = "", rank: int = 0) -> None:
        self._folder, self._key, self._rank = folder, key, rank
        self._own: dict[int, list[Record]] = {}

    def read(self) -> dict[int, list[Record]]:
        """Return the records by number of the batch, of all processes."""
        batches = dict(self._own)
        for path in sorted(self._folder.glob(f"{self._key}.*.jsonl")) if self._folder else []:
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError):  # a line that was cut short, or that somebody else wrote
                    number, records = json.loads(line)
                    batches[number] = [Record(predictions, measured and Measured(*measured))
                                       for predictions, measured in records]  # fmt: skip
        return dict(sorted(batches.items()))

    def append(self, number: int, records: list[Record]) -> None:
        """Add a batch."""
        if self._folder is None:
            self._own[number] = records
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._key}.{self._rank}.jsonl"
        with naming(path), path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps([number, records]))  # the line end first: the last line may have been cut


def records_key(images: Sequence[Path], *parts: str) -> str:
    """Return a name that changes with the images' files, with anything else that is given, and with `lic` and torch."""
    files = [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in images]
    return hashlib.sha256(json.dumps([files, parts, _code(), torch.__version__]).encode()).hexdigest()[:32]


@cache
def _code() -> str:
    """Return a digest of this package's code: what it computes may have changed with it."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(PACKAGE.rglob("*.py")))).hexdigest()


class Shard(NamedTuple):
    """This process among those that share an evaluation: `torchrun`'s, or a training's.

    Attributes:
        wait: how they wait for each other.
    """

    rank: int = 0
    world: int = 1
    wait: Callable[[], object] = torch.distributed.barrier

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            self.wait()


WHOLE = Shard()


def join_processes() -> Shard:
    """Return this process's part, after meeting the others that `torchrun` started; the whole if it started none."""
    shard = Shard(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    if shard.world > 1:
        torch.distributed.init_process_group("gloo")  # nothing but barriers: results go through files
    return shard
