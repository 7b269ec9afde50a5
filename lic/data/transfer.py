"""Files over HTTP that go on where they stopped."""

import re
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TimeRemainingColumn

from lic.printing import Console, Words

FIRST_WAIT_SECONDS = 1.0  # before the first retry, doubled for each further one that brings nothing
NUM_RETRIES = 5
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 18


class _Dropped(Exception):
    """The connection failed in a way that may pass."""


def receive(url: str, part: Path) -> None:
    """Bring the bytes of a file that are missing, with a progress bar.

    Dropped connections are taken up again with HTTP ranges, until several in a row bring nothing; a server without
    ranges starts anew.

    Args:
        url: http or https.
        part: what has come; grows, also in the next call if this one fails.

    Raises:
        ValueError: in one line: the server refuses, or drops too often, or sends another length than it tells.
        OSError: the disk's.
    """
    columns = (Words("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    most_bytes, num_failures = 0, 0
    console = Console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(part.stem, total=None)
        while True:
            try:
                return _append(url, part, progress, bar)
            except _Dropped as error:
                num_bytes = _size(part)
                num_failures = 1 if num_bytes > most_bytes else num_failures + 1
                most_bytes = max(most_bytes, num_bytes)
                if num_failures > NUM_RETRIES:
                    kept = f"{num_bytes} bytes are kept, the same command goes on from there"
                    raise ValueError(f"{url}: {error}; gave up after {NUM_RETRIES} retries; {kept}") from error
                wait_seconds = FIRST_WAIT_SECONDS * 2 ** (num_failures - 1)
                console.print(f"{part.stem}: {error}; next try in {wait_seconds:g} s")
                time.sleep(wait_seconds)


def _append(url: str, part: Path, progress: Progress, bar: TaskID) -> None:
    """Ask once for the bytes that are missing at the end of a file, or for all if the server knows no ranges."""
    num_bytes = _size(part)
    with _open(url, num_bytes) as response:
        span = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+)$", response.headers.get("Content-Range", ""))
        if response.status == 416 and span and int(span[2]) == num_bytes:
            return  # all had come, only the name was not changed
        if response.status == 416 or (response.status == 206 and not (span and span[1] == str(num_bytes))):
            part.unlink()
            raise _Dropped("the server has no such range")
        is_rest = response.status == 206
        length = span[2] if is_rest and span else response.headers.get("Content-Length")
        progress.update(bar, total=int(length) if length else None)
        with part.open("ab" if is_rest else "wb") as file:
            while chunk := _read(response):
                file.write(chunk)
                progress.update(bar, completed=file.tell())
    if length and _size(part) != int(length):
        raise _Dropped(f"{_size(part)} of {length} bytes came")


def _open(url: str, start: int) -> Any:
    """Return the server's answer; that it has no such range (416) is one, other refusals are a ValueError."""
    headers = {"User-Agent": "lic", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        return urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code == 416 and start:
            return error
        error.close()
        if error.code in (408, 429) or error.code >= 500:
            raise _Dropped(f"HTTP {error.code} {error.reason}") from error
        raise ValueError(f"{url}: HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _Dropped(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _read(response: Any) -> bytes:
    """Return the next bytes; the network's errors are told apart from the disk's, which no retry mends."""
    try:
        return bytes(response.read(CHUNK_BYTES))
    except (OSError, HTTPException) as error:
        raise _Dropped(str(error) or type(error).__name__) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
