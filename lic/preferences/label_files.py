"""Label files that are text; every mistake in them is one line with file and line number."""

import csv
import io
from pathlib import Path


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
