"""The README's commands run, in its order, shortened by flags."""

import glob
import re
import runpy
import shlex
from pathlib import Path

import pytest

from lic.cli import parse_config
from lic.curves.results import load_results
from lic.curves.table import markdown_bd_rates, markdown_table
from lic.images import write_image
from lic.settings.evaluate import EvalConfig
from lic.settings.preferences import BenchmarkConfig, BuildConfig
from tests.support import noise_image, shorten

ROOT = Path(__file__).parents[1]
ELSEWHERE = (  # own tests: minutes, the network, an account
    "calibrate", "demo-networks", "sweep", "download", "dashboard",
)  # fmt: skip
SHORTENED = {  # by other flags than those of train.py and eval.py
    "preferences build": ["--num_references", "8", "--pairs_per_reference", "2"],
    "preferences benchmark": ["--resamples", "20"],
    "distortions probe": ["--steps", "2", "--num_images", "1"],
}
AT_HAND = ("~/data", "VTM/bin")  # of commands that need what a user has; their settings are read, no more


def commands() -> list[list[str]]:
    """Return the python commands in the README's shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line.split("&&")[-1].strip() for block in blocks for line in block.splitlines() if "python" in line]
    return [shlex.split(line, comments=True) for line in lines]


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    for i in range(4):
        write_image(noise_image(i, 140, 150), tmp_path / "photos" / f"{i}.png")
    for name in ("a.png", "b.png", "photo.png"):
        write_image(noise_image(len(name), 128, 128), tmp_path / name)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    ran = 0
    (tmp_path / "scores.csv").write_text("lpips,mos\n0.1,5\n0.3,3\n0.2,4.5\n0.6,1\n0.5,2\n0.4,2.5\n")
    for command in commands():
        if any(word in command for word in ELSEWHERE):
            continue
        if command[3:4] == ["preferences"] and any("~/" in word for word in command):
            settings = {"build": BuildConfig, "benchmark": BenchmarkConfig}[command[4]]
            parse_config(settings, command[5:], "lic preferences", "")
            continue
        if any(word.startswith(AT_HAND) for word in command):
            assert command[1] == "eval.py" and parse_config(EvalConfig, command[2:], "eval.py", "").task
            continue
        _run(command)
        ran += 1
    assert ran >= 8
    output = capsys.readouterr().out
    assert "embedded demo scenes (synthetic; not COCO, not photographs)" in output
    assert "wandb sync" in output
    (tmp_path / "runs").rename(tmp_path / "kept")


def _run(command: list[str]) -> None:
    assert command[0] == "python", command
    if command[1] == "-m":
        command = [*command, *SHORTENED.get(" ".join(command[3:5]), [])]
        assert command[2] == "lic"
        arguments = [name for word in command[3:] for name in (sorted(glob.glob(word)) or [word])]
        runpy.run_path(str(ROOT / "lic" / "__main__.py"))["main"](arguments)
        return
    is_resuming = "--resume" in command
    arguments = [str(Path(word).expanduser()) for word in command[2:]]
    arguments = [*arguments, "--trainer.max_steps", "3"] if is_resuming else shorten([command[1], *arguments])[1:]
    assert runpy.run_path(str(ROOT / command[1]))["main"](arguments) == 0


def test_tables_are_those_of_the_results() -> None:
    names = ("mbt2018-mean-vbr-mse", "mbt2018-mean-vbr-mlclipsim", "jpeg", "webp", "avif")
    results = [load_results(ROOT / "results" / "demo" / f"{name}.json") for name in names]
    text = (ROOT / "README.md").read_text()
    assert markdown_table(results) in text
    qualities = ("imagenet-cls", "coco-det", "voc-seg", "mlclipsim", "psnr", "ms-ssim")
    assert markdown_bd_rates(results[0], results, qualities) in text

    folder = ROOT / "results" / "demo_distortions"
    arms = ("mse", "ms-ssim", "mlclipsim")
    seeds = [load_results(folder / f"mbt2018-mean-vbr-{arm}-seed{seed}.json") for arm in arms for seed in range(3)]
    assert markdown_bd_rates(seeds[0], seeds, ("imagenet-cls", "coco-det", "voc-seg", "psnr")) in text

    shipped = [load_results(ROOT / "results" / "other_networks" / f"{name}.json") for name in names[:2]]
    judged = ("imagenet-cls@demo-mobilenet", "imagenet-cls@demo-vit", "coco-det", "voc-seg")
    assert markdown_bd_rates(shipped[0], shipped, judged) in text
