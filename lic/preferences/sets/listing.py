"""What a set on disk says, before any image is read: labels and the files they are about.

Label files that are text; every mistake in them is one line with file and line number.
"""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.functional import resize

from lic.images import read_image
from lic.listing import files_below
from lic.preferences.sets.opinions import Compared, Picture, PreferenceSet, Rated


def read_text(path: Path) -> str:
    """Return a text file's content, whatever wrote it: UTF-8, with or without its mark, or Latin-1."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_lines(path: Path, separator: str | None, num_fields: int) -> list[tuple[int, list[str]]]:
    """Return number and fields of each line that is not blank; separator None: white space."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = [field.strip() for field in line.split(separator)]
        if not line.strip():
            continue
        if len(fields) != num_fields:
            raise ValueError(f"{path}, line {number}: expected {num_fields} fields, found {len(fields)}: '{line[:80]}'")
        rows.append((number, fields))
    return rows


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV file and number and cells of each row; white space around cells is dropped."""
    lines = csv.reader(io.StringIO(read_text(path)), delimiter=_delimiter(path))
    rows = [(lines.line_num, [cell.strip() for cell in cells]) for cells in lines if any(cells)]
    if not rows:
        raise ValueError(f"{path} is empty; expected a header and rows")
    header = rows[0][1]
    for number, cells in rows[1:]:
        if len(cells) != len(header):
            raise ValueError(f"{path}, line {number}: expected {len(header)} cells, as in the header, found "
                             f"{len(cells)}")
    return header, rows[1:]


def _delimiter(path: Path) -> str:
    """Return what separates cells: the one of comma, semicolon and tab that the first line has most of."""
    first = read_text(path).split("\n", 1)[0]
    return max(",;\t", key=first.count)


def number(text: str, path: Path, line: int) -> float:
    """Return a field as a number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: expected a number, found '{text}'") from None


class Entry(NamedTuple):
    """A rated image; its label has the set's own direction."""

    picture: Path
    reference: Path | None
    label: float
    kind: str
    level: int | None = None


class Pair(NamedTuple):
    """Two images that were compared; `preference` is the share that prefers the first."""

    first: Path
    second: Path
    reference: Path
    preference: float
    kind: str


class Published(NamedTuple):
    """What a set's authors say it holds; None where they do not. Some labels lie at each end of the range."""

    rated: int
    references: int
    kinds: int | None = None
    lowest: float | None = None
    highest: float | None = None
    pairs: int = 0


class Listing(NamedTuple):
    """A set's labels.

    Attributes:
        name: with its part, if it has parts.
        folder: pictures are named by their path in it.
        better: which labels are good.
        labels: what the labels are.
        side_px: images are shrunk to this smaller side when they are read; None: as they are.
    """

    name: str
    folder: Path
    entries: list[Entry]
    pairs: list[Pair]
    better: Literal["higher", "lower"]
    labels: str
    side_px: int | None = None

    def files(self) -> list[Path]:
        """Return all image files, each once."""
        named = [path for entry in self.entries for path in (entry.picture, entry.reference) if path]
        named += [path for pair in self.pairs for path in (pair.first, pair.second, pair.reference)]
        return list(dict.fromkeys(named))

    def references(self) -> set[Path]:
        """Return the files of references."""
        return {e.reference for e in self.entries if e.reference} | {pair.reference for pair in self.pairs}

    def kinds(self) -> list[str]:
        """Return the kinds of distortion, sorted."""
        return sorted({entry.kind for entry in self.entries} | {pair.kind for pair in self.pairs})


def differences(listing: Listing, published: Published) -> list[str]:
    """Return in one line each how a listing differs from what is published."""
    pairs_of_distorted = sum(pair.reference not in (pair.first, pair.second) for pair in listing.pairs)
    counts = {
        "rated images": (len(listing.entries), published.rated),
        "comparisons of distorted images": (pairs_of_distorted, published.pairs),
        "references": (len(listing.references()), published.references),
        "kinds of distortion": (len(listing.kinds()), published.kinds),
    }
    lines = [f"expected {expected} {what}, found {found}" for what, (found, expected) in counts.items()
             if expected not in (None, found)]  # fmt: skip
    if listing.entries and published.lowest is not None and published.highest is not None:
        ends = min(entry.label for entry in listing.entries), max(entry.label for entry in listing.entries)
        slack = 0.005 * (published.highest - published.lowest)
        if any(abs(a - b) > slack for a, b in zip(ends, (published.lowest, published.highest), strict=True)):
            lines.append(f"expected labels from {published.lowest:g} to {published.highest:g}, found them from "
                         f"{ends[0]:g} to {ends[1]:g}: are they rescaled or reversed?")  # fmt: skip
    return lines


def missing_files(listing: Listing) -> list[Path]:
    """Return the image files that labels name and that are not there."""
    return [path for path in listing.files() if not os.path.isfile(path)]


def check(listing: Listing, published: Published | None) -> Listing:
    """Return the listing if it is whole.

    Raises:
        ValueError: in one line: it differs from what is published, is empty, or files are missing.
    """
    if not listing.entries and not listing.pairs:
        raise ValueError(f"{listing.name}: no labels in {listing.folder}")
    if published and (lines := differences(listing, published)):
        raise ValueError(f"{listing.name} in {listing.folder} is not the published set: {'; '.join(lines)}")
    if missing := missing_files(listing):
        raise ValueError(f"{listing.name}: {len(missing)} of {len(listing.files())} images are missing, the first is "
                         f"{missing[0]}; python -m lic preferences inspect lists them")
    return listing


def as_preference_set(listing: Listing) -> PreferenceSet:
    """Return the set with all opinions turned so that higher is better."""
    sign = 1 if listing.better == "higher" else -1
    pictures = {path: _picture(path, listing) for path in listing.files()}
    rated = [Rated(pictures[e.picture], pictures[e.reference] if e.reference else None, sign * e.label, e.kind, e.level)
             for e in listing.entries]  # fmt: skip
    compared = [Compared(pictures[pair.first], pictures[pair.second], pictures[pair.reference], pair.preference,
                         pair.kind) for pair in listing.pairs]  # fmt: skip
    return PreferenceSet(listing.name, rated, compared)


def _picture(path: Path, listing: Listing) -> Picture:
    name = os.path.relpath(path, listing.folder)
    side_px = listing.side_px
    return Picture.of(path, name) if side_px is None else Picture(name, lambda: _read_small(path, side_px))


def _read_small(path: Path, side_px: int) -> Tensor:
    """Return an image whose smaller side is at most so long, on the 8-bit grid, by a bilinear filter."""
    image = read_image(path)
    if min(image.shape[-2:]) <= side_px:
        return image
    shrunk: Tensor = resize((image * 255).to(torch.uint8), [side_px], antialias=True)
    return shrunk.float() / 255


class Files:
    """The files under a folder, found whatever the case of their names: sets were labelled on other file systems."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: dict[str, list[Path]] = {}
        files = [path for path in files_below(folder) if not any(part.startswith("__MACOSX") for part in path.parts)]
        for path in sorted(files, key=lambda path: (path.parts[:-1], path.name)):  # a folder's before its subfolders'
            self._by_name.setdefault(path.name.lower(), []).append(path)

    def find(self, name: str, under: Iterable[str] = ()) -> Path | None:
        """Return the file of this name, in a folder whose own name is one of those if any are given.

        Of several whose names differ in case, the one that is written alike; of several in different folders the
        first.
        """
        folders = {folder.lower() for folder in under}
        found = [path for path in self._by_name.get(name.lower(), [])
                 if not folders or folders & {part.lower() for part in path.relative_to(self.folder).parts[:-1]}]
        return next((path for path in found if path.name == name), found[0] if found else None)

    def place(self, name: str, under: Iterable[str]) -> Path:
        """Return the file of this name, or where it should be: in the first of the folders."""
        folders = list(under)
        return self.find(name, folders) or self.folder / folders[0] / name

    def need(self, *names: str) -> Path:
        """Return the first of these files that is there; ValueError names them if none is."""
        for name in names:
            if path := self.find(name):
                return path
        raise ValueError(f"no {' or '.join(names)} in {self.folder} or below; is it the folder of this set?")
