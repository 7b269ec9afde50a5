"""VTM, HM and BPG: the command lines are CompressAI's; VVenC; streams alone give the reconstruction.

Where the real programs are, LIC_TEST_VTM (folder of programs:configuration), LIC_TEST_HM, LIC_TEST_BPG and
LIC_TEST_VVENC (folder) run them. Elsewhere programs of `stand_in.py` take the same command lines, with JPEG for a
codec: they show that files go in and out as they should, and nothing about the programs.
"""

import os
import re
import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import compressai.utils.bench.codecs as bench
import numpy as np
import pytest
import torch

from lic.evaluation.baselines import QPS, baseline_coders
from lic.evaluation.binaries import BpgCoder, VideoCoder, from_ycbcr, to_ycbcr, version_of
from lic.evaluation.coders import Coder
from lic.evaluation.vvenc import VvencCoder, from_planes, to_planes
from lic.images import pad_to_multiple, quantise, write_image
from lic.metrics import psnr_db
from lic.settings.evaluate import EvalConfig
from tests.support import noise_image

PROGRAMS = ("EncoderAppStatic", "DecoderAppStatic", "TAppEncoderStatic", "TAppDecoderStatic", "bpgenc", "bpgdec",
            "vvencapp", "vvdecapp")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder with the stand-ins and a configuration."""
    for name in PROGRAMS:
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\n{Path(__file__).with_name('stand_in.py').read_text()}")
        program.chmod(0o755)
    (tmp_path / "intra.cfg").write_text("IntraPeriod: 1\n")
    return str(tmp_path)


def coder(name: str, qp: int, folder: str, config: str | None = None) -> Coder:
    config = config or f"{folder}/intra.cfg"
    match name:
        case "vtm":
            return VideoCoder("vtm", qp, folder, config)
        case "hm":
            return VideoCoder("hm", qp, folder, config)
        case "vvenc":
            return VvencCoder(qp, folder)
    return BpgCoder(qp, folder)


def check(name: str, folder: str, config: str | None = None) -> None:
    """Streams grow and reconstructions get better as the QP falls; another process's bytes are the same."""
    image = noise_image(0, 70, 90)
    streams, qualities = [], []
    for qp in (47, 32, 22):
        stream = coder(name, qp, folder, config).encode(image).content
        decoded = coder(name, 0, folder, config).decode(stream)
        assert decoded.shape == image.shape
        streams.append(stream)
        qualities.append(psnr_db(decoded, image).item())
    assert len(streams[0]) < len(streams[1]) < len(streams[2])
    assert qualities[0] < qualities[1] < qualities[2] and qualities[2] > 35
    last = coder(name, 22, folder, config)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(last.encode, [image, noise_image(1, 64, 64), image]))[::2] == [(streams[2], None)] * 2
    assert last.is_threadsafe


@pytest.mark.parametrize("name", ["vtm", "hm", "bpg", "vvenc"])
def test_files_go_in_and_out_of_a_stand_in(name: str, folder: str) -> None:
    check(name, folder)


@pytest.mark.parametrize("name", ["vtm", "hm", "bpg", "vvenc"])
def test_the_real_program(name: str) -> None:
    variable = f"LIC_TEST_{name.upper()}"
    if variable not in os.environ:
        pytest.skip(f"set {variable} to run the real {name}")
    place, _, config = os.environ[variable].partition(":")
    check(name, place, config)
    assert "unknown" not in str(coder(name, 32, place, config).program)


class _Stop(Exception):
    pass


@pytest.mark.parametrize("name", ["vtm", "hm"])
def test_command_line_is_compressai_s(name: Any, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def stop(command: list[Any]) -> None:
        seen.append([str(word) for word in command])
        raise _Stop

    monkeypatch.setattr(bench, "run_command", stop)
    write_image(noise_image(0, 20, 30), tmp_path / "image.png")
    settings = Namespace(build_dir=folder, config=f"{folder}/intra.cfg", rgb=False)
    with pytest.raises(_Stop):
        {"vtm": bench.VTM, "hm": bench.HM}[name](settings).run(str(tmp_path / "image.png"), 32)
    (theirs,) = seen
    video, stream = (theirs[theirs.index(flag) + 1] for flag in ("-i", "-b"))
    ours = VideoCoder(name, 32, folder, f"{folder}/intra.cfg").encode_command(Path(video), Path(stream), 30, 20)
    if name == "hm":  # which knows neither of two options that CompressAI gives it
        theirs.remove("--CUNoSplitIntraACT=0")
        theirs[theirs.index("--ConformanceMode=1")] = "--ConformanceWindowMode=1"
    at = theirs.index("--InputBitDepth=8")
    theirs[at : at + 1] = ["--InputBitDepth=10", "--InternalBitDepth=10"]
    assert [str(word) for word in ours] == theirs
    Path(video).unlink()


def test_ten_bits_give_the_pixels_back() -> None:
    """Every sixth level of each colour: no YCbCr of 8 bits could."""
    levels = torch.arange(0, 256, 6) / 255
    colours = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, -1, len(levels))
    assert torch.equal(quantise(from_ycbcr(to_ycbcr(colours))), quantise(colours))


def test_fingerprint_changes_with_program_and_configuration(folder: str) -> None:
    first = coder("vtm", 32, folder).fingerprint
    other = Path(folder, "other.cfg")
    other.write_text("IntraPeriod: 2\n")
    fingerprints = {first, coder("vtm", 37, folder).fingerprint, coder("vtm", 32, folder, str(other)).fingerprint,
                    coder("hm", 32, folder).fingerprint, coder("bpg", 32, folder).fingerprint}  # fmt: skip
    assert len(fingerprints) == 5 and coder("vtm", 32, folder).fingerprint == first


@pytest.mark.parametrize(
    ("name", "said"),
    [("vtm", "VVCSoftware: VTM Encoder Version 23.13 [Linux]"), ("hm", "HM software: Encoder Version [17.0]"),
     ("bpg", "BPG Image Encoder version 0.9.8"), ("vvenc", "vvencapp version 1.15.0-dev")],
)  # fmt: skip
def test_programs_say_their_version(name: str, said: str, folder: str) -> None:
    program = str(coder(name, 32, folder).program)
    assert program.startswith(said) and "\n" not in program and program == program.strip()
    assert version_of(sys.executable, "-h") == f"{Path(sys.executable).name}, version unknown"
    assert version_of("/none/at-all", "-h") == "at-all, version unknown"


@pytest.mark.parametrize("size", [(33, 20), (64, 47), (48, 48)])
def test_sizes_of_420(size: tuple[int, int], folder: str) -> None:
    """Odd ones too; and without a codec in between, grey comes back to the bit and slow colours nearly."""
    image = noise_image(0, *size)
    vvenc = VvencCoder(22, folder)
    assert vvenc.decode(vvenc.encode(image).content).shape == image.shape
    even = pad_to_multiple(image, 2)
    samples = np.concatenate([plane.ravel() for plane in to_planes(even)])
    assert len(samples) * 2 == even[0, 0].numel() * 3
    assert psnr_db(from_planes(samples, *even.shape[-2:]), even).item() > 35
    grey = quantise(even.mean(1, keepdim=True).expand_as(even))
    samples = np.concatenate([plane.ravel() for plane in to_planes(grey)])
    assert torch.equal(quantise(from_planes(samples, *even.shape[-2:])), grey)


def test_scaled_vtm(folder: str) -> None:
    """MPEG's four sizes at every QP, coded by VTM itself."""
    config = EvalConfig(baseline=["vtm-scaled"], vtm_path=folder, vtm_config=f"{folder}/intra.cfg")
    coders = baseline_coders(config)
    assert [(each.scale_percent, each.quality) for each in coders] == [(s, q) for s in (100, 75, 50, 25) for q in QPS]
    assert {each.codec for each in coders} == {"vtm-scaled"} and len({each.fingerprint for each in coders}) == 24
    image = noise_image(0, 70, 90)
    stream = coders[-6].encode(image).content
    assert coders[0].decode(stream).shape == image.shape
    assert stream[4:6] == (24).to_bytes(2, "little"), "the width at 25 %"


def test_grid(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", folder)
    config = EvalConfig(baseline=["hm", "bpg"], hm_path=folder, hm_config=f"{folder}/intra.cfg")
    coders = baseline_coders(config)
    assert [(each.codec, each.quality) for each in coders] == [("hm", qp) for qp in QPS] + [("bpg", qp) for qp in QPS]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"baseline": ["vtm"]}, r"--baseline vtm needs its programs: build https://.*/VVCSoftware_VTM .* --vtm_config"),
        ({"baseline": ["vtm"], "vtm_path": "/none", "vtm_config": "/none/a.cfg"}, "finds no /none/EncoderAppStatic"),
        ({"baseline": ["hm"], "hm_path": "/none"}, "--baseline hm needs its programs"),
        ({"baseline": ["vtm-scaled"]}, "--baseline vtm needs its programs"),
        ({"baseline": ["vvenc"], "vvenc_path": "/none"}, "--baseline vvenc finds no vvencapp and vvdecapp: build http"),
        ({"baseline": ["bpg"], "bpg_path": "/none"}, r"--baseline bpg finds no bpgenc and bpgdec: build https://bell"),
    ],
)
def test_missing_programs(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        baseline_coders(EvalConfig(**settings))
    assert "\n" not in str(error.value)


def test_failing_program_is_one_line(folder: str) -> None:
    with pytest.raises(ValueError, match=re.compile(r"DecoderAppStatic failed with code 1: .*Error")) as error:
        coder("vtm", 32, folder).decode(b"\x10\x00no stream")
    assert "\n" not in str(error.value)
