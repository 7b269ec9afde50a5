"""Which files of a folder are images, and in what order."""

import os
from pathlib import Path

import pytest

from lic.listing import files_below, list_images


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "sub/deep/c.Webp", "notes.txt", ".hidden.png", ".cache/d.png", "sub/png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == [tmp_path / name for name in ("a.png", "b.JPG", "sub/deep/c.Webp")]


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        list_images(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"no files at all and no image; expected \.png"):
        list_images(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="1 other files and no image"):
        list_images(tmp_path)
    with pytest.raises(ValueError, match="came the file"):
        list_images(tmp_path / "notes.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
@pytest.mark.parametrize("closed", ["", "sub"])
def test_folders_without_permission(closed: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / closed).chmod(0)
    try:
        with pytest.raises(ValueError, match="may not be read by this user"):
            list_images(tmp_path)
    finally:
        (tmp_path / closed).chmod(0o700)


def test_linked_folders_belong_to_a_set_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "disk2" / "more").mkdir(parents=True)
    for name in ("photos/a.png", "photos/sub/b.PNG", "disk2/c.avif", "disk2/more/d.jp2"):
        (tmp_path / name).touch()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "disk2")
    (tmp_path / "photos" / "sub" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "disk2" / "itself").symlink_to(".")
    found = [path.relative_to(tmp_path / "photos").as_posix() for path in list_images(tmp_path / "photos")]
    assert found == ["a.png", "linked/c.avif", "linked/more/d.jp2", "sub/b.PNG"]


def test_the_order_is_that_of_paths(tmp_path: Path) -> None:
    """Names are compared part by part: `a/x` comes before `a-b`, though `-` is less than `/`."""
    names = ["a/x", "a-b", "a.png", "a/y/z", "a b", "B", "é", "e", "a-b.d/q", os.fsdecode(b"\xff"), "10", "9"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = files_below(tmp_path)
    assert found == sorted(tmp_path / name for name in names) and len(found) == len(names)
