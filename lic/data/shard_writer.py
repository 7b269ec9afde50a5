"""Folders of images -> WebDataset shards.

Beside each `000000.tar` lie its index (lic/data/shards.py) and `000000.csv`: a line for each image that was meant for
it, with its name in the shard, its file, bytes and SHA-256, or why it was left out. The list is written last: a shard
that has one is whole. `shards.json` says of what, and how, all of them are made.
"""

import csv
import hashlib
import io
import json
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from webdataset.writer import TarWriter

from lic.atomic import replacing, write_file
from lic.data.shards import scan, write_index
from lic.images import UnreadableImage, from_pixels, image_size, read_pixels, to_png
from lic.processes import outcomes_of
from lic.settings.shards import ShardsConfig

COLUMNS = ("member", "source", "bytes", "sha256", "left_out")


MEGABYTE = 1_000_000


class Row(NamedTuple):
    """A line of a shard's list; `left_out` is the reason, empty where the image went in."""

    member: str
    source: str
    num_bytes: int
    sha256: str
    left_out: str


class Shard(NamedTuple):
    """A shard to write: its path, the number of its first image among all, its files."""

    path: Path
    first: int
    files: list[str]


def share_out(sizes: dict[str, int], shard_mb: int, seed: int) -> list[list[str]]:
    """Return the files of each shard: in random order, as many as have `shard_mb` megabytes together."""
    order = list(sizes)
    random.Random(seed).shuffle(order)
    shards: list[list[str]] = [[]]
    num_bytes = 0
    for name in order:
        if shards[-1] and num_bytes + sizes[name] > shard_mb * MEGABYTE:
            shards.append([])
            num_bytes = 0
        shards[-1].append(name)
        num_bytes += sizes[name]
    return shards


def write_shards(config: ShardsConfig, names: Sequence[str]) -> Iterator[tuple[Path, list[Row]]]:
    """Write the shards that are missing; yield each with its list as it comes, those that are there first.

    Args:
        config: the settings.
        names: the files.

    Raises:
        ValueError: the folder holds shards of other images, or made with other settings.
        OSError: the disk is full, or the folder cannot be written.
    """
    folder = Path(config.output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {name: os.stat(name).st_size if os.path.exists(name) else 0 for name in names}  # a link may lead nowhere
    shards = share_out(sizes, config.shard_mb, config.seed)
    listed = "".join(f"{size} {name}\n" for name, size in sizes.items()).encode(errors="surrogateescape")
    _same_or_new(folder / "shards.json", {
        "images": len(sizes), "list_sha256": hashlib.sha256(listed).hexdigest(), "shards": len(shards),
        "shard_mb": config.shard_mb, "min_side": config.min_side, "downscale": config.downscale, "seed": config.seed,
    })  # fmt: skip
    waiting, first = [], 0
    for number, files in enumerate(shards):
        path = folder / f"{number:06d}.tar"
        if path.with_suffix(".csv").exists() and path.exists():
            yield path, read_list(path.with_suffix(".csv"))
        else:
            waiting.append(Shard(path, first, files))
        first += len(files)
    try:
        with closing(outcomes_of(partial(_write, config), waiting, config.jobs)) as written:
            yield from zip((shard.path for shard in waiting), written, strict=True)
    finally:
        for half in folder.glob(".lic-*.tmp"):  # of processes that were killed
            half.unlink()


def _same_or_new(path: Path, plan: dict[str, object]) -> None:
    content = json.dumps(plan, indent=1) + "\n"
    if path.exists() and path.read_text() != content:
        raise ValueError(f"{path.parent} holds shards of other images, or made with other settings ({path.name} tells "
                         "which); give another -o")
    write_file(content, path)


def read_list(path: Path) -> list[Row]:
    """Return the list of a shard."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [Row(member, source, int(size), sha256, why)
                for member, source, size, sha256, why in islice(csv.reader(file), 1, None)]  # fmt: skip


def _write(config: ShardsConfig, shard: Shard) -> list[Row]:
    """Write a shard, its index and its list."""
    rows: list[Row] = []
    path = shard.path
    with replacing(path) as temporary:
        with temporary.open("wb") as file, TarWriter(file, encoder=False, mtime=0) as tar:
            for number, name in enumerate(shard.files, shard.first):
                row, content = _prepare(name, f"{number:09d}", config)
                if content:
                    key, _, suffix = row.member.partition(".")
                    tar.write({"__key__": key, suffix: content})
                rows.append(row)
        table, _ = scan(temporary)
    write_index(table, path.with_suffix(".index.npy"))
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([COLUMNS, *rows])
    write_file(lines.getvalue().encode(errors="surrogateescape"), path.with_suffix(".csv"))
    return rows


def _prepare(name: str, key: str, config: ShardsConfig) -> tuple[Row, bytes]:
    """Return an image's line in the list, and what is stored of it: nothing if it is left out."""
    try:
        if config.downscale > 1:
            pixels = read_pixels(name)
            height, width = (side // config.downscale for side in pixels.shape[:2])
        else:
            height, width = image_size(name)
        if min(height, width) < max(config.min_side, 1):
            return Row("", name, 0, "", f"{height} x {width} px"), b""
        if config.downscale > 1:
            smaller = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
            content, suffix = to_png(from_pixels(np.array(smaller))), ".png"
        else:
            content, suffix = Path(name).read_bytes(), Path(name).suffix.lower()
    except (UnreadableImage, OSError) as error:
        return Row("", name, 0, "", " ".join(str(error).split())), b""
    return Row(key + suffix, name, len(content), hashlib.sha256(content).hexdigest(), ""), content
