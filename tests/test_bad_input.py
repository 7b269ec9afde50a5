"""Bad input is one clear line, exit code 2, and nothing lost."""

import os
import runpy
from pathlib import Path

import pytest
from PIL import Image

from lic.images import write_image
from tests.support import noise_image, shorten

ROOT = Path(__file__).parents[1]


def fails(script: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a script, expect exit code 2, and return the one line that it says."""
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / script))["main"](shorten([script, *arguments])[1:])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        write_image(noise_image(i, 100 + 20 * i, 140), folder / f"{i:02}.png")
    return folder


def folder_flags(folder: Path) -> list[str]:
    output = ["--output", str(folder.parent / "runs"), "--wandb.mode", "disabled"]
    offline = ["--mlclipsim.backbone", "demo"]  # the default's weights are fetched
    return ["--data", "folder", "--data_root", str(folder), *output, *offline]


def train(arguments: list[str]) -> int:
    code: int = runpy.run_path(str(ROOT / "train.py"))["main"](arguments)
    return code


def test_unreadable_image_is_named_skipped_and_counted(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "03.png").write_bytes((photos / "03.png").read_bytes()[:500])  # of those trained on
    (photos / "00.png").write_text("no image")  # of those held out
    write_image(noise_image(0, 140, 140), photos / "001.png")
    arguments = shorten(["train.py", *folder_flags(photos), "--trainer.max_steps", "9", "--eval.limit", "9"])[1:]
    arguments[arguments.index("2")] = "9"
    with pytest.raises(SystemExit):
        train(arguments)  # the only image held out is the one that cannot be read
    assert "none of the 1 images could be read" in capsys.readouterr().err
    write_image(noise_image(0, 140, 140), photos / "00.png")
    assert train(arguments) == 0
    assert "1 images could not be read and were skipped" in (output := " ".join(capsys.readouterr().out.split()))
    assert "03.png" in output


def test_odd_images_are_trained_on_and_coded(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    colours = {"L": 90, "RGBA": (200, 10, 10, 128), "I;16": 40_000, "CMYK": (10, 20, 30, 40), "P": 3, "1": 1}
    for mode, colour in colours.items():
        suffix = "tif" if mode in ("CMYK", "I;16") else "png"
        Image.new(mode, (150, 90), colour).save(folder / f"{mode.replace(';', '')}.{suffix}")
    rotated = Image.fromarray((noise_image(0, 90, 150)[0].permute(1, 2, 0).numpy() * 255).astype("uint8"))
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated.save(folder / "rotated.jpg", exif=exif)
    write_image(noise_image(0, 20, 30), folder / "smaller_than_a_crop.png")
    write_image(noise_image(1, 1, 1), folder / "pixel.png")
    assert train(shorten(["train.py", *folder_flags(folder)])[1:]) == 0


def test_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in fails("train.py", folder_flags(tmp_path / "empty"), capsys)
    assert "missing" in fails("train.py", folder_flags(tmp_path / "missing"), capsys)
    assert "missing" in fails("eval.py", ["--data_root", str(tmp_path / "missing")], capsys)
    assert "no COCO in" in fails("eval.py", ["--task", "coco-det", "--data_root", str(tmp_path)], capsys)
    if os.getuid() != 0:
        (tmp_path / "closed").mkdir(mode=0)
        assert "closed" in fails("train.py", folder_flags(tmp_path / "closed"), capsys)


def test_checkpoints(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(shorten(["train.py", *folder_flags(photos), "--name", "run"])[1:]) == 0
    capsys.readouterr()
    run = tmp_path / "runs" / "run"
    for name in ("codec.safetensors", "last.ckpt"):
        (tmp_path / name).write_bytes((run / name).read_bytes()[:5000])
        line = fails("eval.py", ["--checkpoint", str(tmp_path / name), "--data_root", str(photos)], capsys)
        assert name in line and "damaged" in line
    assert "damaged" in fails("train.py", ["--resume", str(tmp_path / "last.ckpt")], capsys)
    other = ["--resume", str(run / "last.ckpt"), "--codec", "bmshj2018-hyperprior"]
    assert "is of codec" in fails("train.py", other, capsys)
    finished = ["--resume", str(run / "last.ckpt")]
    assert train(finished) == 0  # a run that is complete is judged
    assert "is complete at step 2, and is judged now" in capsys.readouterr().out.replace("\n", " ")
    assert "no checkpoint at" in fails("eval.py", ["--checkpoint", str(tmp_path / "none*")], capsys)


def test_output_that_cannot_be_written(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*folder_flags(photos), "--output", "/dev/null/runs"]
    assert "/dev/null/runs" in fails("train.py", flags, capsys)
    assert "/dev/null/out" in fails("eval.py", ["--data_root", str(photos), "--output", "/dev/null/out"], capsys)


def test_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert "lmbda must lie between 1e-06 and 10000, usual are" in fails("train.py", ["--lmbda", "-1"], capsys)
    assert "did you mean 'mlclipsim'" in fails("train.py", ["--distortion", "clipsim"], capsys)
    assert "none.yaml" in fails("train.py", ["--config", "none.yaml"], capsys)
    assert "device 'abacus'" in fails("eval.py", ["--device", "abacus"], capsys)
