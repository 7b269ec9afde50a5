"""Building PCMP: the same however it is interrupted, and one line for what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from onnx import helper

from lic.demo.drawing import draw_scene
from lic.images import Pixels, read_image, to_png
from lic.preferences.pcmp.build import main
from lic.preferences.pcmp.files import PCMP, load_pcmp
from lic.preferences.pcmp.plan import Source
from tests.backbones.test_onnx import describe, save_onnx

SETTINGS = ["--num_references", "4", "--pairs_per_reference", "2", "--device", "cpu"]


def manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def without_files(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for pair in pairs:
        for side in ("a", "b"):
            pair[side]["file"] = None
    return pairs


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Compare manifests: recipes and images exactly, networks' answers but for how threads share out sums."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        near, far = one.pop("consistency"), other.pop("consistency")
        for name, values in near.items():
            assert values == pytest.approx(far[name], abs=1e-4)
            if abs(values[0] - values[1]) < 1e-3:
                del one["votes"][name], other["votes"][name]
        assert one == other


def test_a_killed_build_goes_on_where_it_was(small_pcmp: PCMP, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "lic", "preferences", "build", "--output", str(folder), *SETTINGS, "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while len(list((folder / "parts").glob("*.json"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    done = {path: path.stat().st_mtime_ns for path in (folder / "references").iterdir()}
    parts = list((folder / "parts").glob("*.json"))
    assert 2 <= len(parts) < 4
    with pytest.raises(ValueError, match="is unfinished"):
        load_pcmp(folder)
    main(["--output", str(folder), *SETTINGS, "--jobs", "1"])
    assert_same(manifest(folder), manifest(small_pcmp.folder))
    for part in parts:  # what was done is not done again
        file = folder / "references" / f"{part.stem}.png"
        assert file.stat().st_mtime_ns == done[file]
    assert not (folder / "parts").exists()


def test_without_images_the_recipes_are_the_same(
    small_pcmp: PCMP, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recipes"
    main(["--output", str(folder), *SETTINGS, "--jobs", "1", "--images", "false"])
    assert not (folder / "images").exists()
    assert_same(manifest(folder), without_files(manifest(small_pcmp.folder)))
    recipes = load_pcmp(folder)
    for pair, kept in zip(recipes.pairs, small_pcmp.pairs, strict=True):
        assert (recipes.read(pair, pair.b) == small_pcmp.read(kept, kept.b)).all()
    capsys.readouterr()
    main(["--output", str(folder), *SETTINGS, "--images", "false"])  # it is finished: its statistics again
    printed = capsys.readouterr().out
    assert "Krippendorff's alpha" in printed and "8 pairs (2 to test on) of 4 references" in printed


def test_references_are_scenes_that_nothing_else_uses() -> None:
    scene = Source("x", None, 3, "fit").read()
    assert (scene == draw_scene("preferences", 3).image).all()
    assert all((scene != draw_scene(split, 3).image).any() for split in ("train", "val", "networks"))


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return the one line with which a command fails."""
    with pytest.raises(SystemExit) as caught:
        main([*argv, "--device", "cpu"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_mistakes_are_one_line(small_pcmp: PCMP, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(small_pcmp.folder)
    assert "tolerance_db (0.1, now 0.2)" in fails(capsys, "--output", folder, *SETTINGS, "--tolerance_db", "0.2")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    out = ("--output", str(tmp_path / "new"))
    assert "is not an empty folder" in fails(capsys, "--output", str(tmp_path / "full"))
    means = tmp_path / "means.onnx"
    save_onnx(means, [helper.make_node("ReduceMean", ["image"], ["out"], axes=[2, 3], keepdims=0)], (32, 32))
    spec = describe(means, output="class logits", input_size=[32, 32])
    assert "does not exist" in fails(capsys, *out, "--data_root", str(tmp_path / "nowhere"), "--network", spec)
    assert "two voters are named alike" in fails(capsys, *out, "--network", spec, spec)
    assert "all voters are held out" in fails(capsys, *out, "--network", spec, "--test_network", spec)
    assert "network 'resnet5O' is unknown" in fails(capsys, *out, "--network", "resnet5O")
    assert "voter 'demo-wit' is unknown; did you mean 'demo-vit'?" in fails(capsys, *out, "--test_network", "demo-wit")
    assert "two references or more" in fails(capsys, *out, "--num_references", "1")
    assert "test_share must lie between 0 and 1" in fails(capsys, *out, "--test_share", "1")
    assert not (tmp_path / "new").exists()


def test_photographs_that_cannot_be_used_are_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = tmp_path / "photographs"
    (photographs / "a b").mkdir(parents=True)
    for number, name in enumerate(("one.png", "a b/two.png")):
        scene = draw_scene("preferences", number).image[:65, :90]
        Path(photographs / name).write_bytes(to_png(_as_image(scene)))
    (photographs / "broken.jpg").write_bytes(b"no image")
    (photographs / "tiny.png").write_bytes(to_png(_as_image(scene[:20, :20])))
    network = tmp_path / "means.onnx"
    save_onnx(network, [helper.make_node("ReduceMean", ["image"], ["out"], axes=[2, 3], keepdims=0)], (32, 32))
    spec = describe(network, output="class logits", input_size=[32, 32])
    out = tmp_path / "pcmp"
    main(["--output", str(out), "--data_root", str(photographs), "--network", spec, "--pairs_per_reference", "1",
          "--jobs", "1", "--device", "cpu"])  # fmt: skip
    pcmp = load_pcmp(out)
    assert len(pcmp.pairs) == 2
    assert [card.group for card in pcmp.voters] == ["fit"]
    assert len(pcmp.description["passed_over"]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("passed over") == 2
    assert "no voters are held out" in printed.out
    assert {tuple(read_image(out / pair.reference).shape) for pair in pcmp.pairs} == {(1, 3, 65, 90)}


def _as_image(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.skipif("LIC_TEST_DATA" not in os.environ, reason="LIC_TEST_DATA is not set")
def test_photographs_with_published_networks(tmp_path: Path) -> None:
    data = Path(os.environ["LIC_TEST_DATA"])
    networks = [f"onnx:{data}/networks/{name}.onnx" for name in ("yolox_nano_coco80_416", "deeplabv3_mnv2_voc21_513")]
    networks.append(f"timm:{data}/networks/mobilenetv2_imagenet_a.timm.fp16.safetensors")
    main(["--output", str(tmp_path / "pcmp"), "--data_root", str(data / "coco128" / "images"), "--network", *networks,
          "--num_references", "2", "--pairs_per_reference", "1", "--jobs", "1"])  # fmt: skip
    pcmp = load_pcmp(tmp_path / "pcmp")
    assert [(card.family, card.task, card.group) for card in pcmp.voters] == [
        ("yolox", "detection", "test"),
        ("mobilenet", "segmentation", "fit"),
        ("mobilenet", "classification", "fit"),
    ]
    assert len(pcmp.pairs) == 2
    for pair in pcmp.pairs:
        assert all(0 <= value <= 1 for both in pair.consistency.values() for value in both)
