"""python -m lic preferences inspect SET: what a set on disk holds, before a benchmark.

    python -m lic preferences inspect tid2013:/data/tid2013
    python -m lic preferences inspect mpd:/data/mpd --columns mpd.yaml
    python -m lic preferences inspect /data/mpd          any folder: its files and tables, to write a column map from

Nothing is refused: what is missing or differs from what is published is shown, all of it.
"""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from lic.cli import parse_config, unknown
from lic.listing import SUFFIXES, files_below
from lic.preferences.sets import SETS, Listing, Published, list_set, load_set, split_name
from lic.preferences.sets.listing import differences, missing_files
from lic.preferences.sets.manifest import read_records
from lic.printing import Console
from lic.settings.preferences import InspectConfig

_TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
_MAX_SHOWN = 20
_MAX_BYTES = 2**28
_SKELETON = """
A column map for what these tables hold (--columns FILE.yaml); lines that do not apply may go:
  manifest: {manifest}
  distorted: COLUMN        # path of the distorted image
  reference: COLUMN        # path of its reference
  opinion: COLUMN          # the label
  better: higher           # or lower
  kind: COLUMN             # of distortion
  level: COLUMN            # whole numbers
  task: COLUMN             # an image's opinion is the mean over its tasks
  images: FOLDER           # of distorted images, in the set's folder
  references: FOLDER
"""


def main(argv: list[str]) -> int:
    """Show what a set or a folder holds; return 0, the exit code."""
    config = parse_config(InspectConfig, argv, "lic preferences inspect", "Show what a set on disk holds.")
    console = Console(soft_wrap=True)
    for spec in config.inputs:
        name, colon, _ = spec.partition(":")
        is_folder = not (colon and name in SETS)
        if is_folder or (name == "mpd" and config.columns is None):
            lines = _describe_folder(_folder_of(spec) if is_folder else split_name(spec)[1])
        else:
            lines = _describe_set(spec, config)
        for line in lines:
            console.print(line)
    return 0


def _folder_of(spec: str) -> Path:
    path = Path(spec).expanduser()
    if path.is_dir():
        return path
    name, colon, _ = spec.partition(":")
    if colon:
        raise ValueError(unknown("set", name, SETS) + "; a set is NAME:FOLDER")
    raise ValueError(f"there is no folder {path}; give a folder, or NAME:FOLDER with one of {', '.join(SETS)}")


def _describe_set(spec: str, config: InspectConfig) -> Iterator[str]:
    name, folder = split_name(spec)
    if name == "pcmp":
        preferences = load_set(spec, config.split)
        yield f"{preferences.name}: {len(preferences.compared)} pairs"
        kinds = Counter(kind for pair in preferences.compared for kind in pair.kind.split(" / "))
        yield from _counted("kinds", kinds)
        return
    yield from _describe_listing(*list_set(cast(Any, name), folder, config.split, config.columns))


def _describe_listing(listing: Listing, published: Published | None) -> Iterator[str]:
    yield f"{listing.name} in {listing.folder}"
    yield f"rated images: {len(listing.entries)}; comparisons: {len(listing.pairs)}; references: "\
          f"{len(listing.references())}"  # fmt: skip
    if listing.entries:
        labels = [entry.label for entry in listing.entries]
        yield f"labels: {listing.labels}, {min(labels):g} .. {max(labels):g}, {listing.better} is better"
        levels = Counter(entry.level for entry in listing.entries if entry.level is not None)
        if levels:
            yield "levels: " + ", ".join(f"{level} ({count})" for level, count in sorted(levels.items()))
    if listing.pairs:
        shares = [pair.preference for pair in listing.pairs]
        tied = sum(share == 0.5 for share in shares)
        yield f"preferences for the first: {min(shares):g} .. {max(shares):g}; {tied} ties"
    kinds = Counter([entry.kind for entry in listing.entries] + [pair.kind for pair in listing.pairs])
    yield from _counted("kinds", kinds)
    missing = missing_files(listing)
    yield f"images: {len(listing.files())}, missing: {len(missing)}"
    yield from (f"  {path}" for path in missing[:_MAX_SHOWN])
    if len(missing) > _MAX_SHOWN:
        yield f"  and {len(missing) - _MAX_SHOWN} more"
    if published:
        yield from differences(listing, published) or ["counts and labels are as published"]


def _counted(what: str, counts: Counter[str]) -> Iterator[str]:
    yield f"{what}: {len(counts)}"
    yield from (f"  {name}: {count}" for name, count in sorted(counts.items())[:60])
    if len(counts) > 60:
        yield f"  and {len(counts) - 60} more"


def _describe_folder(folder: Path) -> Iterator[str]:
    """Yield what files a folder holds, and the columns of its tables."""
    yield f"{folder}"
    files = sorted(files_below(folder), key=lambda path: (path.parts[:-1], path.name))
    by_place = {place: list(paths) for place, paths in groupby(files, key=lambda path: path.parent)}
    tables = [path for path in files if path.name.lower().endswith(_TABLES)]
    for place, paths in list(by_place.items())[: 3 * _MAX_SHOWN]:
        suffixes = Counter(path.suffix.lower() or "(no suffix)" for path in paths)
        shown = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(8))
        yield f"  {os.path.relpath(place, folder)}/: {shown}, such as {paths[0].name}"
    if len(by_place) > 3 * _MAX_SHOWN:
        yield f"  and {len(by_place) - 3 * _MAX_SHOWN} folders more"
    for path in tables[:_MAX_SHOWN]:
        yield from _describe_table(path, folder)
    if len(tables) > _MAX_SHOWN:
        yield f"and {len(tables) - _MAX_SHOWN} tables more"
    if not tables:
        yield f"no table ({', '.join(_TABLES)}); archives must be unpacked first"
        return
    yield from _SKELETON.format(manifest=os.path.relpath(tables[0], folder)).splitlines()


def _describe_table(path: Path, folder: Path) -> Iterator[str]:
    """Yield the columns of a table: range of numbers, or first values and whether they are images that exist."""
    yield ""
    if path.stat().st_size > _MAX_BYTES:
        yield f"{os.path.relpath(path, folder)}: {path.stat().st_size // 2**20} MiB, too large to be looked into"
        return
    try:
        header, records = read_records(path)
    except ValueError as error:
        yield f"{os.path.relpath(path, folder)}: no table: {error}"
        return
    yield f"{os.path.relpath(path, folder)}: {len(records)} rows"
    for column in header:
        yield f"  {column}: {_describe_column([record[column] for _, record in records], folder, path.parent)}"


def _describe_column(values: list[Any], folder: Path, beside: Path) -> str:
    texts = [str(value) for value in values]
    distinct = dict.fromkeys(texts)
    if not texts:
        return "empty"
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        shown = ", ".join(list(distinct)[:3]) + (", ..." if len(distinct) > 3 else "")
        return f"{len(distinct)} different texts: {shown}{_found(list(distinct), folder, beside)}"
    return f"numbers {min(numbers):g} .. {max(numbers):g}, {len(distinct)} different"


def _found(names: list[str], folder: Path, beside: Path) -> str:
    """Say in which folder images of these names lie, if they are names of images."""
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    if not images:
        return ""
    places = dict.fromkeys([folder, beside, *(path.parent for path in files_below(folder))])
    for place in places:
        if (place / images[0]).is_file():
            found = sum((place / name).is_file() for name in images)
            return f" (images: {found} of {len(images)} are in {os.path.relpath(place, folder)}/)"
    return " (images, of which the first is nowhere in this folder)"
