"""MPD, or anybody's own rated images: a manifest, and a YAML file that says what its columns are.

    manifest: labels.csv        # in the set's folder: .csv, .json (a list of records), .jsonl
    distorted: dist_img         # column: path of the distorted image
    reference: ref_img          # column: path of its reference; leave out where there is none
    opinion: mos                # column: the label
    better: higher              # or lower: which labels are good
    kind: distortion            # column; may be left out
    level: level                # column, whole numbers; may be left out
    task: task                  # column; a label per image and task: an image's opinion is the mean over its tasks
    images: dist                # folder of distorted images in the set's folder; may be left out
    references: ref             # folder of references; may be left out
    rows: {split: test}         # only rows whose columns have these values; may be left out
    range: [0, 5]               # labels must lie in it; may be left out

MPD (Zhang et al. 2025, arXiv 2503.10078) is passed on without a description of its files, so that nothing about them is
assumed here: `python -m lic preferences inspect FOLDER` shows them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import yaml

from lic.cli import unknown
from lic.preferences.sets.listing import Entry, Listing, number, read_table, read_text

Better = Literal["higher", "lower"]

_NEEDED = ("manifest", "distorted", "opinion", "better")
_COLUMNS = ("distorted", "reference", "opinion", "kind", "level", "task")
_KEYS = (*_NEEDED, "reference", "kind", "level", "task", "images", "references", "rows", "range")

Record = dict[str, Any]


class ColumnMap(NamedTuple):
    """What the YAML file says; see the head of this file."""

    manifest: str
    distorted: str
    opinion: str
    better: Better
    reference: str | None = None
    kind: str | None = None
    level: str | None = None
    task: str | None = None
    images: str = ""
    references: str = ""
    rows: dict[str, Any] | None = None
    range: list[float] | None = None


def read_column_map(path: Path) -> ColumnMap:
    """Return what a YAML file says about a manifest; ValueError says in one line what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"column map {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"column map {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"column map {path} holds no settings; expected lines such as 'opinion: mos'")
    for key in content:
        if key not in _KEYS:
            raise ValueError(f"column map {path}: {unknown('key', str(key), _KEYS)}")
    if lacking := [key for key in _NEEDED if key not in content]:
        raise ValueError(f"column map {path} lacks {', '.join(lacking)}")
    if content["better"] not in get_args(Better):
        raise ValueError(f"column map {path}: better must be higher or lower, got '{content['better']}'")
    _check_types(content, path)
    return ColumnMap(**content)


def _check_types(content: Record, path: Path) -> None:
    for key, value in content.items():
        expected: tuple[type, str] = {
            "rows": (dict, "columns with a value each, {split: test}"), "range": (list, "two numbers, [0, 5]"),
        }.get(key, (str, "a name"))  # fmt: skip
        if not isinstance(value, expected[0]):
            raise ValueError(f"column map {path}: {key} must be {expected[1]}, got {value!r}")
    limits = content.get("range", [0, 0])
    if len(limits) != 2 or not all(isinstance(end, int | float) for end in limits):
        raise ValueError(f"column map {path}: range must be two numbers, [0, 5], got {limits}")


def list_manifest(name: str, folder: Path, columns: ColumnMap) -> Listing:
    """Return the labels of a manifest.

    Args:
        name: of the set.
        folder: that holds the manifest and the images.
        columns: what the manifest's columns are.
    """
    path = folder / columns.manifest
    header, records = read_records(path)
    wanted = [(key, column) for key in _COLUMNS if (column := getattr(columns, key))]
    for key, column in [*wanted, *(("rows", column) for column in columns.rows or {})]:
        if column not in header:
            raise ValueError(f"{path}: {key}: {unknown('column', column, header)}")
    entries = [_entry(record, line, path, folder, columns) for line, record in records
               if all(str(record[column]) == str(value) for column, value in (columns.rows or {}).items())]  # fmt: skip
    return Listing(name, folder, _one_each(entries, path, columns.task is not None), [], columns.better,
                   f"column {columns.opinion} of {columns.manifest}")  # fmt: skip


def _entry(record: Record, line: int, path: Path, folder: Path, columns: ColumnMap) -> Entry:
    label = number(str(record[columns.opinion]), path, line)
    low, high = columns.range or (-float("inf"), float("inf"))
    if not low <= label <= high:
        raise ValueError(f"{path}, line {line}: expected {columns.opinion} in {low:g} .. {high:g}, found {label:g}")
    reference = record[columns.reference] if columns.reference else None
    return Entry(
        folder / columns.images / str(record[columns.distorted]),
        folder / columns.references / str(reference) if reference not in (None, "") else None,
        label,
        str(record[columns.kind]) if columns.kind else "all",
        int(number(str(record[columns.level]), path, line)) if columns.level else None,
    )


def _one_each(entries: list[Entry], path: Path, has_tasks: bool) -> list[Entry]:
    """Return one entry for each image: its mean label over tasks, if there are tasks."""
    by_image: dict[tuple[Path, Path | None], list[Entry]] = {}
    for entry in entries:
        by_image.setdefault((entry.picture, entry.reference), []).append(entry)
    for (image, _), same in by_image.items():
        if len(same) > 1 and not has_tasks:
            raise ValueError(f"{path}: {image} has {len(same)} labels; name their column with 'task', or choose rows "
                             "with 'rows: {column: value}'")
    return [same[0]._replace(label=sum(entry.label for entry in same) / len(same)) for same in by_image.values()]


def read_records(path: Path) -> tuple[list[str], list[tuple[int, Record]]]:
    """Return the columns of a manifest and number and content of each row, or of each record.

    Raises:
        ValueError: in one line: no such file, an unknown suffix, a record that lacks a column of the first one.
    """
    if not path.is_file():
        raise ValueError(f"no manifest at {path}")
    if path.suffix.lower() in (".csv", ".txt", ".tsv"):
        header, rows = read_table(path)
        return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]
    if path.suffix.lower() not in (".json", ".jsonl"):
        raise ValueError(f"manifest {path}: expected .csv, .json or .jsonl")
    records = list(_json_records(path))
    if not records:
        raise ValueError(f"{path} holds no records")
    header = list(records[0][1])
    for line, record in records:
        if lacking := [key for key in header if key not in record]:
            raise ValueError(f"{path}, record {line}: lacks {', '.join(lacking)}")
    return header, records


def _json_records(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield number and content of each record of a JSON list, or of lines of JSON."""
    text = read_text(path)
    try:
        lines = [line for line in text.splitlines() if line.strip()] if path.suffix.lower() == ".jsonl" else []
        content = [json.loads(line) for line in lines] if lines else json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise ValueError(f"{path}: expected a list of records, [{{...}}, {{...}}], found {type(content).__name__}")
    yield from enumerate(cast(list[Record], content), 1)
