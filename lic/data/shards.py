"""WebDataset shards: images in tar files, read one by one through an index of where each begins.

The index of `000000.tar` is `000000.index.npy` beside it, int64 (N, 2): offset and length in bytes of each image.
Shards without one are scanned once; the index is then kept in the cache folder. A shard on a server is fetched whole,
by webdataset's openers, when the first image of it is read.
"""

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import track
from webdataset.gopen import Pipe, gopen, gopen_schemes
from webdataset.shardlists import expand_urls

from lic.atomic import replacing
from lic.data.source import split
from lic.demo.scenes import cache_folder
from lic.images import Pixels, UnreadableImage, read_pixels
from lic.listing import is_image
from lic.printing import Console

Table = NDArray[np.int64]
"""(N, 2): offset and length of each image in a shard."""

BLOCK = 512  # of a tar file
NUM_TRIES = 3
CHUNK_BYTES = 1 << 20

gopen_schemes.setdefault("s3", lambda url, mode, _: Pipe(["aws", "s3", "cp", url, "-"], mode=mode))


class Shards:
    """Images in shards: a `Source` (lic/data/source.py).

    Args:
        urls: paths of tar files, or addresses that webdataset opens.
        tables: their indices.
    """

    def __init__(self, urls: Sequence[str], tables: Sequence[Table]) -> None:
        self.urls, self.tables = list(urls), list(tables)
        self.groups = [len(table) for table in tables]
        self.ends = np.cumsum(self.groups)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def name(self, index: int) -> str:
        """Return an image's name, after the shard's."""
        shard, offset, _ = self._find(index)
        try:
            with local(self.urls[shard]).open("rb") as file:
                return f"{self.urls[shard]}: {_header(file, offset).name}"
        except (OSError, tarfile.TarError):
            return f"{self.urls[shard]}: the image at byte {offset}"

    def read(self, index: int) -> Pixels:
        """Return an image."""
        shard, offset, num_bytes = self._find(index)
        name = f"{self.urls[shard]}: the image at byte {offset}"
        path = local(self.urls[shard])
        try:
            with path.open("rb") as file:
                header = _header(file, offset)
                content = file.read(num_bytes)
        except tarfile.TarError as error:
            raise UnreadableImage(f"cannot read {name}: no tar header there ({error})") from error
        except OSError as error:
            raise UnreadableImage(f"cannot read {name}: {error.strerror or error}") from error
        if header.size != num_bytes or len(content) < num_bytes:
            raise UnreadableImage(f"cannot read {name}: it is cut off, or the index is another shard's")
        return read_pixels(f"{self.urls[shard]}: {header.name}", content=content, is_fast=True)

    def _find(self, index: int) -> tuple[int, int, int]:
        """Return which shard an image is in, and where."""
        shard = int(np.searchsorted(self.ends, index, "right"))
        offset, num_bytes = self.tables[shard][index - self.ends[shard]].tolist()
        return shard, offset, num_bytes


def _header(file: io.BufferedIOBase, offset: int) -> tarfile.TarInfo:
    file.seek(offset - BLOCK)
    return tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "surrogateescape")


def open_shards(pattern: str, console: Console) -> Shards:
    """Return the images of shards.

    Args:
        pattern: a folder of tar files, or paths and addresses in webdataset's notation: `shards/{000000..000999}.tar`,
            several joined by `::`, https://, s3://, gs://, `pipe:COMMAND`.
        console: for a progress bar, and lines about damaged shards.

    Raises:
        ValueError: in one line: no shards, none with images, one that is missing or no plain tar file.
    """
    folder = Path(pattern).expanduser()
    urls = sorted(map(str, folder.glob("*.tar"))) if folder.is_dir() else expand_urls(os.path.expanduser(pattern))
    if not urls:
        raise ValueError(f"folder '{pattern}' holds no .tar file; `lic shards` makes them of a folder of images")
    lost = sorted(name for name in folder.glob("*.index.npy") if not name.with_suffix("").with_suffix(".tar").exists())
    if lost:
        raise ValueError(f"folder '{pattern}' lacks {len(lost)} shards whose indexes are there, first that of "
                         f"{lost[0].name}; put them back, or delete their indexes")
    tables, damages = [], []
    for url in track(urls, "shards", console=console, transient=True, disable=not console.is_terminal):
        table, damage = index_of(url)
        tables.append(table)
        damages += [damage] if damage else []
    for damage in damages:
        console.print(damage, soft_wrap=True)
    if not any(map(len, tables)):
        raise ValueError(f"the {len(urls)} shards of '{pattern}' hold no image")
    pairs = [(url, table) for url, table in zip(urls, tables, strict=True) if len(table)]
    return Shards(*zip(*pairs, strict=True))


def index_of(url: str) -> tuple[Table, str]:
    """Return a shard's index, from beside it, from the cache folder, or from a scan; and in a line what is damaged."""
    if not _is_remote(url):
        beside = Path(url).with_suffix(".index.npy")
        if beside.exists():
            return _read_index(beside, url), ""
    else:
        beside = _cached(url).with_suffix(".index.npy")
        if not beside.exists() and url.endswith(".tar"):
            with suppress(ValueError):  # if there is none, the shard is fetched and scanned
                fetch(url.removesuffix(".tar") + ".index.npy", beside)
        if beside.exists():
            return _read_index(beside, url), ""
    path = local(url)
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(f"shard '{url}' cannot be read: {error.strerror}") from error
    key = hashlib.sha256(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
    kept = cache_folder() / "shards" / f"{key}.index.npy"
    if kept.exists():
        return _read_index(kept, url), ""
    table, damage = scan(path)
    if not damage:
        write_index(table, kept)
    return table, damage


def scan(path: Path) -> tuple[Table, str]:
    """Return where the images of a tar file lie, and in a line what is damaged.

    Raises:
        ValueError: it is compressed, or no tar file.
    """
    rows: list[tuple[int, int]] = []
    last, is_whole = "its beginning", False
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as members:
            num_bytes = os.fstat(file.fileno()).st_size
            for member in members:
                if member.offset_data + member.size > num_bytes:
                    break
                if member.isfile() and is_image(member.name):
                    rows.append((member.offset_data, member.size))
                last = member.name
            file.seek(members.offset)  # where tarfile stops without a word if what comes is no header
            is_whole = file.read(BLOCK) == bytes(BLOCK)
    except tarfile.ReadError as error:
        if not rows:
            raise ValueError(f"shard '{path}' is no plain tar file ({error}); compressed ones have to be unpacked, for "
                             "images are read one by one") from error
    damage = "" if is_whole else f"shard {path} is damaged after {last}: its first {len(rows)} images are taken"
    return np.array(rows, np.int64).reshape(-1, 2), damage


def write_index(table: Table, path: Path) -> None:
    """Write a shard's index, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, table)


def _read_index(path: Path, url: str) -> Table:
    try:
        table = np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"the index '{path}' of shard {url} is damaged: delete it, and it is made anew") from error
    if not (isinstance(table, np.ndarray) and table.dtype == np.int64 and table.ndim == 2 and table.shape[1] == 2
            and table.min(initial=BLOCK) >= 0):  # fmt: skip
        raise ValueError(f"'{path}' is no index of a shard: expected int64 (N, 2); delete it, and it is made anew")
    return table


def local(url: str) -> Path:
    """Return the file that holds a shard: itself, or what is fetched of it once, whoever asks first.

    Raises:
        ValueError: it cannot be fetched.
    """
    if not _is_remote(url):
        return Path(url)
    path = _cached(url)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                fetch(url, path)
    return path


def fetch(url: str, path: Path) -> None:
    """Bring a file, whole or not at all.

    Raises:
        ValueError: the program that brings it fails, several times.
        OSError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for tries_left in reversed(range(NUM_TRIES)):
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                for content in _received(url):
                    file.write(content)
            return
        except ValueError:
            if tries_left == 0:
                raise


def _received(url: str) -> Iterator[bytes]:
    try:
        with gopen(url) as stream:
            while content := stream.read(CHUNK_BYTES):
                yield content
    except (OSError, ValueError) as error:  # not the disk's, which `replacing` names
        status = re.search(r"exit \d+", str(error))
        cause = f"the program that brings it ended with {status[0]}" if status else error
        raise ValueError(f"cannot fetch {url}: {cause}") from error


def _is_remote(url: str) -> bool:
    return "://" in url or url.startswith("pipe:")


def _cached(url: str) -> Path:
    return cache_folder() / "shards" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.tar"


def held_out_of(shards: Shards) -> tuple[Path, list[Path]]:
    """Return a folder with copies of images that are not to be trained on, evenly spaced in the first shard."""
    key = hashlib.sha256(shards.urls[0].encode() + shards.tables[0].tobytes()).hexdigest()[:16]
    folder = cache_folder() / "held_out" / key
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with local(shards.urls[0]).open("rb") as file:
        for index in split(shards.groups[0]):
            offset, num_bytes = shards.tables[0][index].tolist()
            name = Path(_header(file, offset).name)
            paths.append(folder / f"{index:09d}{name.suffix.lower()}")
            if not paths[-1].exists():
                with replacing(paths[-1]) as temporary:
                    file.seek(offset)
                    temporary.write_bytes(file.read(num_bytes))
    return folder, paths


def without(shards: Shards, indices: Sequence[int]) -> Shards:
    """Return shards less some images of the first; all of them if nothing else is left."""
    table = np.delete(shards.tables[0], indices, axis=0)
    return Shards(shards.urls, [table, *shards.tables[1:]]) if len(shards) > len(indices) else shards
