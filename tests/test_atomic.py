"""Files are there whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from lic.atomic import replacing, write_file


def test_what_ends_a_write_half_way_keeps_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 250}.txt"  # as long as names may be
    write_file("older", path)
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == [path.name]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "page.html"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "page.html")


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "report.html").symlink_to("precious")
    write_file("page", tmp_path / "report.html")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "report.html").read_text() == "page"


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    write_file("gone", Path(os.devnull))
    assert Path(os.devnull).is_char_device()
