"""--schedule, and checkpoints: how rates fall, how many files stay."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lic.codecs import load_codec
from lic.printing import Console
from lic.settings.evaluate import TrainingEvalConfig
from lic.settings.train import TrainConfig, TrainerConfig
from lic.training.run import train
from tests.support import SMALL_TRAINING, SMALLER_WORLD

SMALL = replace(SMALL_TRAINING, distortion="mse", optimizer="adam", crop_px=32, batch_size=1, checkpoint_every=10,
                eval=TrainingEvalConfig(limit=2), trainer=TrainerConfig(max_steps=30, accelerator="cpu"))  # fmt: skip


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_SCENES", SMALLER_WORLD)


def run(config: TrainConfig, output: Path) -> Path:
    assert train(replace(config, output=str(output)), Console(quiet=True)) == 0
    return Path(config.resume).parent if config.resume else next(output.iterdir())


def rates(folder: Path) -> list[float]:
    """The learning rates of steps 10, 20, ... of the run's latest part."""
    log = sorted(folder.glob("logs-*/metrics.csv"))[-1]
    values = [row["train/learning_rate"] for row in csv.DictReader(log.read_text().splitlines())]
    return [float(value) for value in values if value]


def test_steps(tmp_path: Path) -> None:
    config = replace(SMALL, schedule="steps", learning_rate=[1e-3, "1e-4@15", "2e-3@25"])
    assert rates(run(config, tmp_path)) == pytest.approx([1e-3, 1e-4, 2e-3])


def test_cosine(tmp_path: Path) -> None:
    first, _, last = rates(run(replace(SMALL, learning_rate=1e-3), tmp_path))
    assert 0.7e-3 < first < 1e-3 and 1e-5 < last < 3e-5


def test_plateau_and_its_resuming(tmp_path: Path) -> None:
    """At such a rate no pass is better than the first but by chance; a folder of one image has a pass a step."""
    images = tmp_path / "images"
    images.mkdir()
    (images / "grey.ppm").write_bytes(b"P6 32 32 255\n" + bytes([90]) * 3072)
    config = replace(SMALL, data="folder", data_root=str(images), schedule="plateau", learning_rate=1e-7)
    config = replace(config, trainer=TrainerConfig(max_steps=90, accelerator="cpu"), checkpoint_every=45)
    whole = run(config, tmp_path / "whole")
    found = rates(whole)
    assert found[0] == pytest.approx(1e-7) and found == sorted(found, reverse=True) and 1e-7 / 32 < found[-1] < 0.6e-7
    stopped = run(replace(config, keep_checkpoints=2), tmp_path / "stopped")
    assert sorted(path.name for path in stopped.glob("*.ckpt")) == ["last.ckpt", "step-45.ckpt", "step-90.ckpt"]
    run(replace(config, keep_checkpoints=2, resume=str(stopped / "step-45.ckpt")), tmp_path / "stopped")
    assert rates(stopped) == found[-len(rates(stopped)) :]
    expected, state = (load_codec(folder / "last.ckpt").codec.state_dict() for folder in (whole, stopped))
    assert all(torch.equal(expected[name], state[name]) for name in expected)


def test_the_latest_checkpoints_are_kept(tmp_path: Path) -> None:
    folder = run(replace(SMALL, keep_checkpoints=2), tmp_path)
    kept = {path.name: load_codec(path).header.steps for path in folder.glob("*.ckpt")}
    assert kept == {"last.ckpt": 30, "step-20.ckpt": 20, "step-30.ckpt": 30}
