"""python -m lic preferences inspect: sets that are whole, that are not, and folders that nobody described."""

import json
from pathlib import Path

import pytest

from lic.images import write_image
from lic.preferences import inspection
from tests.support import noise_image


def _folder(folder: Path) -> Path:
    (folder / "imgs").mkdir(parents=True)
    for name in ("a.png", "r.png"):
        write_image(noise_image(0, 16, 16), folder / "imgs" / name)
    records = [{"dist": "a.png", "ref": "r.png", "score": 1.5, "type": "blur"},
               {"dist": "b.png", "ref": "r.png", "score": 4, "type": "noise"}]  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(records), encoding="utf-8")
    return folder


def test_an_unknown_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inspection.main([str(_folder(tmp_path / "mpd"))])
    text = capsys.readouterr().out
    assert "imgs/: 2 .png, such as a.png" in text
    assert "labels.json: 2 rows" in text
    assert "dist: 2 different texts: a.png, b.png (images: 1 of 2 are in imgs/)" in text
    assert "score: numbers 1.5 .. 4, 2 different" in text
    assert "manifest: labels.json" in text


def test_a_mapped_set_with_a_missing_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path / "mpd")
    columns = tmp_path / "columns.yaml"
    columns.write_text("manifest: labels.json\ndistorted: dist\nreference: ref\nopinion: score\nbetter: higher\n"
                       "kind: type\nimages: imgs\nreferences: imgs\n")  # fmt: skip
    inspection.main([f"mpd:{folder}", "--columns", str(columns)])
    text = capsys.readouterr().out
    assert "rated images: 2; comparisons: 0; references: 1" in text
    assert "1.5 .. 4, higher is better" in text
    assert f"images: 3, missing: 1\n  {folder / 'imgs' / 'b.png'}" in text


def test_what_differs_from_the_published_set_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mos_with_names.txt").write_text("3.5 I01_01_1.bmp\n")
    inspection.main([f"tid2013:{tmp_path}"])
    text = capsys.readouterr().out
    assert "images: 2, missing: 2" in text
    assert "expected 3000 rated images, found 1" in text and "expected 25 references, found 1" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere"], "there is no folder /nowhere"),
        (["tid203:/tmp"], "set 'tid203' is unknown; did you mean 'tid2013'"),
        (["mpd:/nowhere"], "set 'mpd': there is no folder /nowhere"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inspection.main(arguments)
