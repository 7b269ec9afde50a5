"""--schedule, checkpoints, Trainer arguments: how rates fall, how many files stay, what several batches a step are."""

import csv
import io
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from lic.codecs import load_codec
from lic.printing import Console
from lic.settings.evaluate import TrainingEvalConfig
from lic.settings.names import TRAINER_FURTHER, TRAINER_TAKEN
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


def test_several_batches_a_step_and_their_resuming(tmp_path: Path) -> None:
    twice = {"accumulate_grad_batches": 2, "log_every_n_steps": 1}
    config = replace(SMALL, checkpoint_every=3, keep_checkpoints=3, learning_rate=1e-3,
                     trainer=TrainerConfig(max_steps=9, accelerator="cpu", further=twice))  # fmt: skip
    whole = run(config, tmp_path / "whole")
    assert load_codec(whole / "last.ckpt").header.steps == 9 and len(rates(whole)) == 9
    stopped = run(config, tmp_path / "stopped")
    run(replace(config, resume=str(stopped / "step-6.ckpt")), tmp_path / "stopped")
    expected, state = (load_codec(folder / "last.ckpt").codec.state_dict() for folder in (whole, stopped))
    assert all(torch.equal(expected[name], state[name]) for name in expected)
    plain = run(replace(config, trainer=TrainerConfig(max_steps=9, accelerator="cpu")), tmp_path / "plain")
    other = load_codec(plain / "last.ckpt").codec.state_dict()
    assert not torch.equal(expected["network.g_a.0.weight"], other["network.g_a.0.weight"])


def test_gradients_are_clipped_by_norm_or_value(tmp_path: Path) -> None:
    one = replace(SMALL, clip_norm=1e-12, trainer=TrainerConfig(max_steps=1, accelerator="cpu"))
    further = {"gradient_clip_algorithm": "value"}
    by_value = replace(one, trainer=TrainerConfig(max_steps=1, accelerator="cpu", further=further))
    states = [torch.load(run(config, tmp_path / name) / "last.ckpt", weights_only=True)["optimizer_states"][0]["state"]
              for name, config in (("norm", one), ("value", by_value))]  # fmt: skip
    largest = [max(float(each["exp_avg"].abs().max()) for each in list(state.values())[:-1]) for state in states]
    assert largest[1] == pytest.approx(1e-13, rel=0.01, abs=0) and largest[0] < largest[1]


def test_every_argument_of_the_trainer_is_known() -> None:
    own = {field.name for field in fields(TrainerConfig)} - {"further"}
    known = {*own, *TRAINER_FURTHER, *TRAINER_TAKEN}
    assert {*signature(pl.Trainer.__init__).parameters} - {"self"} <= known


def test_a_run_that_its_time_ends_is_saved(tmp_path: Path) -> None:
    further = {"max_time": {"seconds": 1}}
    config = replace(SMALL, checkpoint_every=10**6, trainer=TrainerConfig(100_000, "cpu", further=further))
    console = Console(file=io.StringIO(), width=200)
    assert train(replace(config, output=str(tmp_path)), console) == 0
    (folder,) = tmp_path.iterdir()
    assert 1 <= load_codec(folder / "last.ckpt").header.steps < 100_000
    assert f"ended before its last step; go on with: python train.py --resume {folder / 'last.ckpt'}" in (
        console.file.getvalue()  # type: ignore[attr-defined]
    )
