"""CSIQ (Larson and Chandler 2010), in either of the layouts in which it is found.

    csiq.DMOS.xlsx      a sheet with the columns image, dst_type, dst_lev, dmos (the original), or
    csiq_label.txt      lines "1600.AWGN.1.png 0.062" (as toolboxes pass it on)
    src_imgs/1600.png   dst_imgs/1600.AWGN.1.png, or dst_imgs/awgn/1600.AWGN.1.png

The labels are differences of opinion, 0 .. 1, lower is better.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from lic.preferences.sets.listing import Entry, Files, Listing, Published, number, read_lines

CSIQ = Published(866, 30, 6, 0, 1)

_KINDS = {"awgn": "white noise", "noise": "white noise", "jpeg": "JPEG", "jpeg2000": "JPEG 2000",
          "fnoise": "pink noise", "blur": "Gaussian blur", "contrast": "contrast"}  # fmt: skip
_COLUMNS = ("image", "dst_type", "dst_lev", "dmos")


def list_csiq(folder: Path) -> Listing:
    """Return CSIQ's labels; see the head of this file."""
    files = Files(folder)
    path = files.need("csiq_label.txt", "csiq.DMOS.xlsx")
    labels = _from_text(path) if path.suffix == ".txt" else _from_sheet(path)
    entries = []
    for name, dmos, where in labels:
        image, kind, level = [*name.rsplit(".", 3), "", "", ""][:3]
        if kind.lower() not in _KINDS or not level.isdigit():
            raise ValueError(f"{path}, {where}: expected a name such as 1600.AWGN.1.png, found '{name}'")
        picture = files.place(name, ["dst_imgs"])
        entries.append(Entry(picture, files.place(f"{image}.png", ["src_imgs"]), dmos, _KINDS[kind.lower()],
                             int(level)))  # fmt: skip
    return Listing("csiq", folder, entries, [], "lower", "differences of mean opinion scores")


def _from_text(path: Path) -> Iterator[tuple[str, float, str]]:
    for line, (name, dmos) in read_lines(path, None, 2):
        yield name, number(dmos, path, line), f"line {line}"


def _from_sheet(path: Path) -> Iterator[tuple[str, float, str]]:
    """Yield file name, label and place of each row of the sheet that has the columns, wherever they start."""
    for sheet in _read_sheets(path):
        for top, cells in enumerate(sheet):
            header = [str(cell).strip().lower() for cell in cells]
            if all(name in header for name in _COLUMNS):
                columns = [header.index(name) for name in _COLUMNS]
                for row, cells in enumerate(sheet[top + 1 :], top + 2):
                    if (found := [cells[column] for column in columns])[0] is not None:
                        yield _from_cells(found, path, row)
                return
    raise ValueError(f"{path}: no sheet has the columns {', '.join(_COLUMNS)}")


def _from_cells(cells: list[Any], path: Path, row: int) -> tuple[str, float, str]:
    image, kind, level, dmos = cells
    written = {"noise": "AWGN", "blur": "BLUR", "jpeg": "JPEG"}
    kind = str(kind).lower().replace(" ", "")
    image = f"{image:g}" if isinstance(image, int | float) else str(image).strip()
    level = f"{number(str(level), path, row):g}"
    return f"{image}.{written.get(kind, kind)}.{level}.png", number(str(dmos), path, row), f"row {row}"


def _read_sheets(path: Path) -> list[list[tuple[Any, ...]]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError) as error:
        raise ValueError(f"{path} is no Excel sheet that can be read: {error}") from error
    sheets = [list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets]
    book.close()
    return sheets
