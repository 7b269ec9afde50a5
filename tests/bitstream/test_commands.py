"""python -m lic encode, decode, info: what they write, what they refuse, and what an interruption leaves."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from lic.__main__ import main
from lic.bitstream import coding, decode, encode, jobs, read_stream_header
from lic.bitstream.coding import SHIPPED_FOR
from lic.codecs import load_codec
from lic.images import quantise, read_image, write_image
from tests.support import noise_image

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a.png, b.png and sub/c.png, and work beside it."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "sub/c.png")):
        write_image(noise_image(seed, 40 + 20 * seed, 72), folder / name)
    monkeypatch.chdir(tmp_path)
    return folder


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """Run a command that fails; return its exit code and the lines on stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err.strip().splitlines()


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that is wrong; return its one line."""
    code, [line] = fails(capsys, *words)
    assert code == 2
    return line


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_one_image(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["encode", "photos/a.png", "-o", "photo.lic"])
    stream = Path("photo.lic").read_bytes()
    said, line = capsys.readouterr().out.splitlines()
    assert said == "codec for machines: mbt2018-mean-vbr-mlclipsim, lmbda 0.01; --for eyes takes the other one"
    words = line.split()
    assert words[:5] == ["photo.lic", f"{8 * len(stream) / (40 * 72):.3f}", "bpp", str(len(stream)), "bytes"]
    assert words[6] == "s" and 0 <= float(words[5]) < 60
    codec = load_codec(SHIPPED_FOR["machines"])
    assert stream == encode(read_image("photos/a.png"), codec, 0.01)
    main(["decode", "photo.lic", "-o", "out.png"])
    assert torch.equal(read_image("out.png"), quantise(decode(stream, codec)))
    capsys.readouterr()
    main(["info", "photo.lic"])
    shown = capsys.readouterr().out
    for expected in ("version  2", codec.sha256[:8], "mbt2018-mean", SHIPPED_FOR["machines"].name, "lmbda    0.01",
                     "72 x 40 px", f"{len(stream)}, {words[1]} bpp"):  # fmt: skip
        assert expected in shown
    assert names(Path()) == ["out.png", "photo.lic", *(f"photos/{name}" for name in names(photos))]


@pytest.mark.parametrize("inputs", [["photos"], ["photos/**/*.png"], ["photos/a.png", "photos/[b]*", "photos/sub"]])
def test_several(inputs: list[str], photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["encode", *inputs])
    is_folder = inputs == ["photos"]
    assert names(photos) == ["a.lic", "a.png", "b.lic", "b.png", "sub/c.lic", "sub/c.png"]
    [_, *lines, total] = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and total.startswith("3 files  ")
    main(["encode", "-o", "streams", *inputs])
    in_output = ["a.lic", "b.lic", "sub/c.lic" if is_folder else "c.lic"]
    assert names(Path("streams")) == in_output
    main(["decode", "streams", "-o", "decoded/"])
    assert names(Path("decoded")) == [name.replace(".lic", ".png") for name in in_output]
    assert read_image("decoded/b.png").shape == (1, 3, 60, 72)


def test_jobs_write_the_same(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = torch.get_num_threads()
    torch.set_num_threads(1)  # of which each job has at least one
    main(["encode", "photos", "-o", "one"])
    main(["encode", "photos", "-o", "two", "--jobs", "2"])
    torch.set_num_threads(own)
    assert [path.read_bytes() for path in sorted(Path("one").rglob("*.lic"))] == [
        path.read_bytes() for path in sorted(Path("two").rglob("*.lic"))
    ]


def test_operating_points(photos: Path, codec_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    variable, single = (str(codec_file(name)) for name in ("mbt2018-mean-vbr", "bmshj2018-hyperprior"))

    def header_for(*words: str) -> tuple[bytes, float]:
        main(["encode", "photos/a.png", "-o", "x.lic", *words])
        header = read_stream_header(Path("x.lic").read_bytes())
        return header.fingerprint, header.lmbda

    shipped = load_codec(SHIPPED_FOR["machines"])
    eyes = load_codec(SHIPPED_FOR["eyes"])
    assert eyes.header.distortion == "mse" and header_for("--for", "eyes")[0] == eyes.fingerprint
    assert "leave it out" in mistake(capsys, "encode", "photos/a.png", "--for", "eyes", "--checkpoint", variable)
    assert header_for("--for=eyes", "--lmbda", "0.03")[0] == eyes.fingerprint
    assert header_for("--lmbda", "0.03") == (shipped.fingerprint, pytest.approx(0.03, rel=1e-3))
    assert header_for("--checkpoint", variable)[1] == pytest.approx(0.013, rel=1e-3)
    for lmbda, path in (("0.05", variable), ("0.01", single)):
        expected = load_codec(Path(path)).fingerprint, pytest.approx(float(lmbda), rel=1e-3)
        assert header_for("--lmbda", lmbda, "--checkpoint", single, variable) == expected
    line = mistake(capsys, "encode", "photos/a.png", "--lmbda", "0.5")
    assert "no checkpoint at hand codes at lmbda 0.5; on offer: mbt2018-mean-vbr 0.0006 .. 0.09" in line
    line = mistake(capsys, "encode", "photos/a.png", "--lmbda", "0.5", "--checkpoint", variable)
    assert line.endswith("on offer: mbt2018-mean-vbr 0.0018 .. 0.0932")
    assert "choose among them with --lmbda" in mistake(
        capsys, "encode", "photos/a.png", "--checkpoint", variable, single
    )
    assert "none.safetensors does not exist" in mistake(
        capsys, "encode", "photos/a.png", "--checkpoint", "none.safetensors"
    )
    Path("run").mkdir()
    Path("run/last.ckpt").touch()
    line = mistake(capsys, "encode", "photos/a.png", "--checkpoint", "run")  # never the shipped one instead
    assert "folder run holds no .safetensors file; of this unfinished run: run/last.ckpt" in line


def test_a_rate_is_asked_for(
    codec_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image((noise_image(0, 256, 320) + 0.1 * torch.rand(1, 3, 256, 320)).clamp(0, 1), tmp_path / "a.png")
    image, stream = str(tmp_path / "a.png"), tmp_path / "a.lic"
    for lmbda in ("0.003", "0.03"):
        main(["encode", image, "--lmbda", lmbda, "--for", "eyes"])
        num_bytes = stream.stat().st_size
        main(["encode", image, "--bpp", str(8 * num_bytes / (256 * 320)), "--for", "eyes"])
        assert stream.stat().st_size == pytest.approx(num_bytes, rel=0.01)
        assert read_stream_header(stream.read_bytes()).lmbda == pytest.approx(float(lmbda), rel=0.2)
    capsys.readouterr()
    for bpp in ("0.001", "50"):
        _, lines = fails(capsys, "encode", image, "--bpp", bpp)
        assert f"{bpp} bpp are out of reach; nearest are" in lines[0]
    _, lines = fails(capsys, "encode", image, "--bpp", "1", "--checkpoint", str(codec_file("bmshj2018-hyperprior")))
    assert "bmshj2018-hyperprior has one rate; --bpp wants a variable-rate codec (-vbr)" in lines[0]


def test_a_folders_mean_rate_is_asked_for(
    codec_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for seed, (height, width, noise) in enumerate([(128, 160, 0.05), (256, 192, 0.2)]):
        image = noise_image(seed, height, width) + noise * torch.rand(1, 3, height, width)
        write_image(image.clamp(0, 1), folder / f"{seed}.png")
    (folder / "2.png").write_bytes(b"no image")
    words = [str(folder), "--bpp_of", "folder", "--for", "eyes", "-o", str(out)]
    code, lines = fails(capsys, "encode", *words, "--bpp", "1.2", "--jobs", "2")
    assert code == 1 and len(lines) == 2 and "2.png" in lines[0]  # the others are coded
    streams = [path.read_bytes() for path in sorted(out.glob("*.lic"))]
    headers = [read_stream_header(stream) for stream in streams]
    assert len(streams) == 2 and headers[0].lmbda == headers[1].lmbda
    rates = [8 * len(stream) / (head.height * head.width) for stream, head in zip(streams, headers, strict=True)]
    assert sum(rates) / 2 == pytest.approx(1.2, rel=0.011) and abs(rates[0] - rates[1]) > 0.1
    _, lines = fails(capsys, "encode", *words, "--bpp", "50")
    assert "50 bpp are out of reach; nearest are" in lines[0] and len(lines) == 1
    assert "give --bpp" in mistake(capsys, "encode", str(folder), "--bpp_of", "folder")
    single = ["--checkpoint", str(codec_file("bmshj2018-hyperprior"))]
    line = mistake(capsys, "encode", str(folder), "--bpp_of", "folder", "--bpp", "1", *single)
    assert "bmshj2018-hyperprior has one rate; --bpp wants a variable-rate codec (-vbr)" in line


def test_what_a_checkpoint_says(capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", str(SHIPPED_FOR["eyes"])])
    printed = capsys.readouterr().out
    assert "mbt2018-mean-vbr num_channels 64, num_latent_channels 96" in printed
    assert "steps for mse, on photos" in printed
    assert "1.76 million parameters" in printed and "12.9 kMAC per pixel to encode, 13.1 to decode" in printed
    assert re.search(r"memory   4\d MB at the peak to encode 768 x 512 px, [56]\d to decode \(cpu\)", printed)
    sha = load_codec(SHIPPED_FOR["eyes"]).sha256
    assert f"{sha[:8]} in streams" in printed


def test_checkpoints_at_hand(
    photos: Path, codec_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(codec_file("bmshj2018-hyperprior"))
    main(["encode", "photos/a.png", "-o", "x.lic", "--checkpoint", checkpoint, "--tile", "64"])
    code, lines = fails(capsys, "decode", "x.lic")
    assert code == 1 and "which is not at hand; name its file (--checkpoint)" in lines[0]
    assert lines[1] == "lic decode: 1 of 1 files failed"
    main(["info", "x.lic"])
    assert "its checkpoint is not at hand" in capsys.readouterr().out
    main(["info", "x.lic", "--checkpoint", checkpoint])
    assert f"bmshj2018-hyperprior, {checkpoint}" in capsys.readouterr().out
    main(["decode", "x.lic", "--checkpoint", checkpoint, "--tile", "64"])
    assert Path("x.png").exists()


def test_what_fails_is_named_and_the_others_go_on(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:200])
    code, lines = fails(capsys, "encode", "photos", "missing.png", "-o", "out")
    assert code == 1 and len(lines) == 3
    assert "cannot read the image 'photos/b.png'" in lines[0] and "'missing.png': No such file" in lines[1]
    assert lines[2] == "lic encode: 2 of 4 files failed"
    assert names(Path("out")) == ["a.lic", "sub/c.lic"]
    Path("out/b.lic").write_bytes(b"LIC\2 and so on, long enough")
    Path("out/empty.lic").touch()
    for command in (["decode", "out", "gone.lic", "-o", "png"], ["info", "out", "gone.lic"]):
        code, lines = fails(capsys, *command)
        assert code == 1
        for line, cause in zip(lines, ("b.lic: damaged stream", "empty.lic: not a", "gone.lic: No such"), strict=False):
            assert cause in line
    assert names(Path("png")) == ["a.png", "sub/c.png"]
    code, lines = fails(capsys, "decode", "out/a.lic", "--max_pixels", "2879")
    assert "a.lic: stream of 72 x 40 px, more than the 2879 allowed (--max_pixels)" in lines[0]


def test_endless_files_are_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("huge.lic").open("wb") as file:
        file.truncate(2**36)
    for command in ("decode", "info"):
        code, lines = fails(capsys, command, "huge.lic")
        assert code == 1 and "huge.lic: not a .lic stream: more than" in lines[0]


def test_mistakes_before_any_work(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(noise_image(0, 64, 64), photos / "a.PNG")
    before = names(Path())
    for words, cause in (
        (["encode"], "name at least one file"),
        (["encode", "*.jpg"], "no file matches '*.jpg'"),
        (["encode", "photos", "-o", "x"], "'photos/a.PNG' and 'photos/a.png' would both be written to 'x/a.lic'"),
        (["encode", "photos/a.png", "-o", "photos/a.png"], "to be a folder or to end in .lic"),
        (["encode", "photos/a.png", "photos/b.png", "-o", "x.lic"], "-o to be a folder for 2 file(s), came 'x.lic'"),
        (["decode", "photos/a.png"], "'photos/a.png' is an input and would be overwritten"),
        (["decode", "photos/a.png", "-o", "a.jpg"], "to end in .png"),
        (["decode", "photos"], "holds no .lic file"),
        (["encode", "photos/a.png", "-o", "photos/b.png/"], "File exists"),
        (["encode", "photos/a.png", "--tile", "100"], "tile must be a multiple of 64, got 100"),
        (["encode", "photos/a.png", "--jobs", "0"], "jobs must be positive"),
        (["encode", "photos/a.png", "--lmbda", "-1"], "lmbda must lie between 1e-06 and 10000"),
        (["encode", "photos/a.png", "--bpp", "0"], "bpp must lie between 0 and 100"),
        (["encode", "photos/a.png", "--bpp", "1", "--lmbda", "0.01"], "--bpp finds the lmbda itself"),
        (["encode", "photos/a.png", "--device", "abacus"], "device 'abacus'"),
        (["encode", "photos/a.png", "--job", "2"], "did you mean '--jobs'"),
        (["decode", "photos/a.png", "--max_pixels", "many"], "max_pixels"),
        (["encod", "photos/a.png"], "did you mean 'encode'"),
    ):
        assert cause in mistake(capsys, *words)
    assert names(Path()) == before


def test_a_viewers_pixels_are_coded(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(coding, "read_image", lambda _, to_srgb, **__: seen.append(to_srgb) or noise_image(0, 8, 8))
    main(["encode", "photos/a.png"])
    assert seen == [True]
    monkeypatch.undo()
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photos / "b.png") as image:
        image.save(photos / "turned.png", exif=exif)
    main(["encode", str(photos / "turned.png"), "-o", str(photos / "turned.lic")])
    assert read_stream_header((photos / "turned.lic").read_bytes())[3:5] == (72, 60)


def test_a_full_disk_leaves_what_was_there(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a.lic").write_bytes(b"old")

    def fail(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    code, lines = fails(capsys, "encode", "photos/a.png")
    assert code == 1 and lines[0] == "lic encode: cannot write 'photos/a.lic': No space left on device"
    assert (photos / "a.lic").read_bytes() == b"old" and names(photos) == ["a.lic", "a.png", "b.png", "sub/c.png"]


def test_interrupted_while_writing(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(path: Path, _: Path) -> None:
        assert path.stat().st_size > 24
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    code, lines = fails(capsys, "encode", "photos")
    assert (code, lines) == (130, ["lic encode: interrupted; 0 of 3 files are written"])
    assert names(photos) == ["a.png", "b.png", "sub/c.png"]


def test_interrupted_jobs(photos: Path) -> None:
    """Ctrl-C on a terminal reaches every process: one line, no traceback, no half file, nobody left behind."""
    for number in range(40):
        write_image(noise_image(number, 256, 384), photos / f"{number:02}.png")
    command = [sys.executable, "-m", "lic", "encode", str(photos), "-o", "out", "--jobs", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline(), process.stdout.readline()  # which codec it takes, then the first stream
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    [line] = errors.strip().splitlines()
    assert line.startswith("lic encode: interrupted; ") and line.endswith(" of 43 files are written")
    for stream in Path("out").rglob("*"):
        assert stream.is_dir() or read_stream_header(stream.read_bytes())
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def test_a_worker_that_dies_is_one_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    works = [jobs.Work(Path(name), Path(f"{name}.lic")) for name in "ab"]
    with pytest.raises(ValueError, match="a process ended early, probably for lack of memory"):
        jobs.run("lic encode", die, works, 2)


def die(_: Path) -> jobs.Coded:
    os._exit(9)
