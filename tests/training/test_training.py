"""Training: the loss, resuming exactly, what is clipped, averaged and saved."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
import yaml

from lic.codecs import build_codec, load_codec
from lic.data.imagenet import read_imagenet
from lic.demo.scenes import scenes_root
from lic.distortions import MSE_SCALE, build_distortion, with_backbones
from lic.distortions.ms_ssim import ms_ssim_distance
from lic.evaluation.rate_task import RateTask
from lic.printing import Console
from lic.settings.evaluate import TrainingEvalConfig
from lic.settings.metrics import MetricsConfig, MLCLIPSimConfig
from lic.settings.tracking import WandbConfig
from lic.settings.train import TrainConfig, TrainerConfig
from lic.training.module import CodecTraining
from lic.training.run import _dead_workers, check_devices, train
from tests.support import SMALL_TRAINING, SMALLER_WORLD
from tests.wandb_file import read_runs

ROOT = Path(__file__).parents[2]

def run(config: TrainConfig, output: Path) -> Path:
    """Train and return the run's folder."""
    config = replace(config, output=str(output))
    assert train(config, Console(quiet=True)) == 0
    return Path(config.resume).parent if config.resume else output / f"{config.codec}-{config.distortion}-0.01"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_codec(folder / "last.ckpt").codec.state_dict()


@pytest.mark.parametrize("distortion", ["mse", "mlclipsim"])
def test_resumed_equals_uninterrupted(distortion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the first epoch of four steps, and in the second."""
    monkeypatch.setenv("LIC_SCENES", SMALLER_WORLD)
    four_steps_an_epoch = len(read_imagenet(scenes_root(), "train").images) // 4
    config = replace(SMALL_TRAINING, distortion=distortion, batch_size=four_steps_an_epoch, crop_px=32, ema_decay=0.5)
    whole = run(config, tmp_path / "whole")
    for stop_at in (3, 5):
        part = _stop(config, tmp_path / f"part-{stop_at}", stop_at)
        resumed = run(replace(config, resume=str(part / "last.ckpt")), tmp_path / f"part-{stop_at}")
        assert resumed == part
        assert_same_state(whole, resumed)


def assert_same_state(whole: Path, resumed: Path) -> None:
    """Compare two runs' last checkpoints: the codec, and all that a training keeps."""
    expected, actual = weights(whole), weights(resumed)
    assert expected.keys() == actual.keys()
    for name in expected:
        assert torch.equal(expected[name], actual[name]), name
    states = [torch.load(folder / "last.ckpt", weights_only=True)["state_dict"] for folder in (whole, resumed)]
    assert any(name.startswith("codec.") for name in states[0]) and any(name.startswith("ema.") for name in states[0])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def _stop(config: TrainConfig, output: Path, step: int) -> Path:
    """Train until a step, then send Ctrl-C to this process."""
    from lic.training import callbacks

    original = callbacks.StepProgress.on_train_batch_end

    def interrupt(self: callbacks.StepProgress, trainer: object, *rest: object) -> None:
        original(self, trainer, *rest)  # type: ignore[arg-type]
        if trainer.global_step == step:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGINT)

    callbacks.StepProgress.on_train_batch_end = interrupt  # type: ignore[method-assign, assignment]
    try:
        assert train(replace(config, output=str(output)), Console(quiet=True)) == 130
    finally:
        callbacks.StepProgress.on_train_batch_end = original  # type: ignore[method-assign]
    (folder,) = output.iterdir()
    assert load_codec(folder / "last.ckpt").header.steps == step
    assert not (folder / "codec.safetensors").exists()
    return folder


def test_same_seed_same_weights_another_seed_others(tmp_path: Path) -> None:
    config = replace(SMALL_TRAINING, trainer=TrainerConfig(max_steps=2, accelerator="cpu"))
    first, second = (weights(run(config, tmp_path / name)) for name in ("a", "b"))
    other = weights(run(replace(config, seed=1), tmp_path / "c"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["network.g_a.0.weight"], other["network.g_a.0.weight"])


def test_label_and_seed_are_on_record(tmp_path: Path) -> None:
    trainer = TrainerConfig(max_steps=1, accelerator="cpu")
    offline = WandbConfig(mode="offline")
    config = replace(SMALL_TRAINING, distortion="mse", label="mse longer", seed=2, wandb=offline, trainer=trainer)
    assert train(replace(config, output=str(tmp_path)), Console(quiet=True)) == 0
    (folder,) = tmp_path.iterdir()
    assert folder.name == "mbt2018-mean-mse-longer-0.01"
    for name in ("codec.safetensors", "last.ckpt"):
        header = load_codec(folder / name).header
        assert (header.distortion, header.label, header.seed) == ("mse", "mse longer", 2)
    (tracked,) = read_runs(folder).values()
    assert tracked.run.run_group == "mbt2018-mean / mse longer"
    assert tracked.artifacts[0].name == "mbt2018-mean-mse-longer-0.01-seed2"
    for label in ("a/b", "", "a|b", "ä", "x" * 65, "a\n"):
        with pytest.raises(ValueError, match="label must be at most 64 letters"):
            replace(config, label=label)


def module(**changes: object) -> CodecTraining:
    torch.manual_seed(0)
    config = replace(SMALL_TRAINING, **changes)  # type: ignore[arg-type]
    codec = build_codec(config.codec, config.num_channels, config.num_latent_channels)
    metrics = with_backbones(MetricsConfig(config.mlclipsim), is_demo=True)
    return CodecTraining(codec, build_distortion(config.distortion, metrics), config)


@pytest.mark.parametrize(("distortion", "warmup_mse"), [("mse", 0.5), ("mlclipsim", 1.0), ("mlclipsim", 0.0),
                                                        ("gmsd", 1.0), ("gmsd", 0.0)])  # fmt: skip
def test_loss_is_the_documented_sum(distortion: str, warmup_mse: float) -> None:
    training = module(distortion=distortion, warmup_mse=warmup_mse, lmbda=0.02).eval()
    image = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss, output = training.rate_distortion(image, training.global_step), training.codec(image)
        squared = (output.reconstruction - image).square().mean()
        expected = output.bpp.mean() + 0.02 * 255**2 * squared
        if warmup_mse == 0:
            distance = training.distortion(output.reconstruction, image).mean()
            expected = output.bpp.mean() + 0.02 * (training.distortion.scale * distance + 0.1 * MSE_SCALE * squared)
    torch.testing.assert_close(loss.total, expected)


def test_an_anchor_of_structure() -> None:
    """Beside the pixels'; none of it during the warm-up, nor where mse is trained for."""
    image = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    settings: dict[str, Any] = {"distortion": "mlclipsim", "lmbda": 0.02, "anchor_mse": 0.0}
    with torch.no_grad():
        plain, anchored = (module(**settings, warmup_mse=0.0, anchor_ms_ssim=share).eval() for share in (0.0, 0.75))
        structure = ms_ssim_distance(anchored.codec(image).reconstruction, image).mean()
        losses = [training.rate_distortion(image, 0).total for training in (plain, anchored)]
        torch.testing.assert_close(losses[1] - losses[0], 0.02 * 0.75 * 600 * structure, rtol=1e-3, atol=1e-4)
        for others in ({"warmup_mse": 0.5}, {"distortion": "mse"}):
            pair = [module(**settings | others, anchor_ms_ssim=share).eval() for share in (0.0, 0.75)]
            assert len({float(training.rate_distortion(image, 0).total) for training in pair}) == 1
    with pytest.raises(ValueError, match="anchor_ms_ssim must not be negative"):
        TrainConfig(anchor_ms_ssim=-0.1)


@pytest.mark.parametrize(("init", "at_start", "halfway"), [(None, 1, 1), ("codec.safetensors", 1 / 200, 0.5)])
def test_rate_rises_after_init(init: str | None, at_start: float, halfway: float) -> None:
    """SOAP without history undoes a trained codec at full rate; the cosine still stands at 1 here."""
    training = module(init=init, learning_rate=0.004, distortion="mse", trainer=TrainerConfig(max_steps=1_000_000))
    settings: Any = training.configure_optimizers()
    optimizer, scheduler = settings["optimizer"], settings["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(201):
        rates.append(scheduler.get_last_lr())
        optimizer.step()
        scheduler.step()
    found = [rates[step][0] / 0.004 for step in (0, 99, 200)]
    assert found == pytest.approx([at_start, halfway, 1], rel=1e-3)
    assert {rate[-1] for rate in rates} == {1e-3}, "the quantiles' is constant"


@pytest.mark.parametrize("distortion", ["ssim", "ms-ssim", "fsim", "gmsd", "vif"])
def test_trains_for_other_distortions(distortion: str, tmp_path: Path) -> None:
    """A step of warm-up and one of its own, in bf16 autocast, on crops smaller than some of them need."""
    trainer = TrainerConfig(max_steps=2, accelerator="cpu")
    folder = run(replace(SMALL_TRAINING, distortion=distortion, warmup_mse=0.5, trainer=trainer), tmp_path)
    assert load_codec(folder / "last.ckpt").header.distortion == distortion
    assert all(value.isfinite().all() for value in weights(folder).values())


@pytest.mark.parametrize("distortion", ["ssim", "ms-ssim", "fsim", "gmsd", "vif"])
def test_other_distortions_reach_every_weight(distortion: str) -> None:
    training = module(distortion=distortion, warmup_mse=0.0, anchor_mse=0.0)
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        output = training.codec(image, None)
        training.distortion(output.reconstruction, image).sum().backward()
    gradients = [weight.grad for name, weight in training.codec.named_parameters() if ".g_s." in name]
    assert gradients and all(g is not None and g.isfinite().all() for g in gradients)
    assert any(g is not None and g.abs().sum() > 0 for g in gradients)


def test_clipping_leaves_the_quantiles_alone() -> None:
    training = module(distortion="mse")
    for parameter in training.codec.parameters():
        parameter.grad = torch.full_like(parameter, 10.0)
    training.configure_gradient_clipping()
    norm = torch.stack([parameter.grad.norm() for parameter in training.codec.weights() if parameter.grad is not None])
    torch.testing.assert_close(norm.norm(), torch.tensor(1.0), atol=1e-3, rtol=0)
    assert all((parameter.grad == 10).all() for parameter in training.codec.quantiles() if parameter.grad is not None)


def test_average_is_what_gets_evaluated() -> None:
    training = module(distortion="mse", ema_decay=0.9)
    training.update_average()
    with torch.no_grad():
        for parameter in training.codec.parameters():
            parameter += 1
    before = [parameter.clone() for parameter in training.best_codec.parameters()]
    training.update_average()
    for old, new, own in zip(before, training.best_codec.parameters(), training.codec.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * own)


def test_training_lowers_rate_and_distortion(tmp_path: Path) -> None:
    config = replace(SMALL_TRAINING, distortion="mse", num_channels=16, num_latent_channels=24, learning_rate=3e-3,
                     wandb=WandbConfig(mode="offline"),
                     trainer=TrainerConfig(max_steps=80, accelerator="cpu"))  # fmt: skip
    folder = run(config, tmp_path)
    rows = (folder / "logs-1" / "metrics.csv").read_text().splitlines()
    names = rows[0].split(",")
    values = [dict(zip(names, row.split(","), strict=True)) for row in rows[1:]]
    values = [row for row in values if row["train/loss"]]
    first, last = (({k: float(v) for k, v in row.items() if v}) for row in (values[0], values[-1]))
    assert last["train/loss"] < first["train/loss"] / 2
    assert last["train/distortion"] < first["train/distortion"]
    assert (folder / "config.yaml").is_file()
    (tracked,) = read_runs(folder).values()
    assert (tracked.run.run_group, tracked.run.job_type) == ("mbt2018-mean / mse", "train")
    assert list(tracked.run.tags) == ["lmbda=0.01"]
    assert [artifact.type for artifact in tracked.artifacts] == ["model", "results"]
    assert "rate_task/bpp" in tracked.summary and "train/bpp" in tracked.summary


def test_init_takes_another_codecs_weights_only_if_they_fit(tmp_path: Path) -> None:
    folder = run(replace(SMALL_TRAINING, distortion="mse"), tmp_path)
    checkpoint = folder / "codec.safetensors"
    header = load_codec(checkpoint).header
    assert header.steps == 6 and header.distortion == "mse"
    config = replace(SMALL_TRAINING, init=str(checkpoint), codec="bmshj2018-hyperprior")
    with pytest.raises(ValueError, match="is of codec"):
        train(replace(config, output=str(tmp_path)), Console(quiet=True))
    with pytest.raises(ValueError, match="is of codec"):
        resume = replace(SMALL_TRAINING, codec="bmshj2018-hyperprior", resume=str(folder / "last.ckpt"))
        train(resume, Console(quiet=True))
    with pytest.raises(ValueError, match=r"--resume takes a run's last.ckpt"):
        train(replace(SMALL_TRAINING, resume=str(checkpoint)), Console(quiet=True))


def test_more_devices_than_there_are() -> None:
    if torch.cuda.device_count():
        pytest.skip("this machine has GPUs")
    with pytest.raises(ValueError, match="devices 4 asks for more than this machine's 0 GPUs"):
        check_devices(TrainerConfig(devices=4))
    with pytest.raises(ValueError, match="0 GPUs"):
        check_devices(TrainerConfig(accelerator="gpu"))
    with pytest.raises(ValueError, match="Choose from: auto, cpu, gpu, cuda"):
        check_devices(TrainerConfig(accelerator="abacus"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_saves_and_says_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    arguments = ["--num_channels", "8", "--num_latent_channels", "12", "--eval.limit", "4", "--output", str(tmp_path),
                 "--wandb.mode", "disabled", "--distortion", "mse", "--trainer.max_steps", "100000"]  # fmt: skip
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step"):
            break
    time.sleep(1)
    os.killpg(process.pid, number)  # as a terminal or SLURM does: the loading processes get it too
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    (folder,) = tmp_path.iterdir()
    assert f"interrupted by {number.name}; go on with: python train.py --resume {folder / 'last.ckpt'}" in output
    assert load_codec(folder / "last.ckpt").header.steps >= 1


@pytest.mark.parametrize("step", [2, 3])
def test_a_signal_while_judging_loses_no_step(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, judging = TrainerConfig(max_steps=3, accelerator="cpu"), TrainingEvalConfig(limit=2, every_n_steps=2)
    config = replace(SMALL_TRAINING, distortion="mse", trainer=trainer, eval=judging)
    whole = weights(run(config, tmp_path / "whole"))
    results = RateTask.results

    def signalled(*arguments: Any) -> Any:
        found = results(*arguments)
        folder = next((tmp_path / "stopped").iterdir())
        if load_codec(folder / "codec.safetensors").header.steps == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(RateTask, "results", signalled)
        assert train(replace(config, output=str(tmp_path / "stopped")), Console(quiet=True)) == 143
    (folder,) = (tmp_path / "stopped").iterdir()
    assert load_codec(folder / "last.ckpt").header.steps == step
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    again = weights(run(replace(config, resume=str(folder / "last.ckpt")), tmp_path / "stopped"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def exploding(path: Path, num_steps: int) -> str:
    """A distortion whose gradient is not a number in the second step and those that follow it; return its file."""
    path.write_text(f"""import math, torch
from lic.distortions import DistortionCard
def measure(reconstruction, image):
    is_bad = 1 <= torch.initial_seed() // 1009 <= {num_steps}  # a step's noise is seeded with 1009 times its number
    return (reconstruction - image).square().mean((1, 2, 3)) * (math.nan if is_bad else 1)
CARD = DistortionCard("exploding", 1000.0, lambda settings: measure)
""")
    return str(path)


def test_a_gradient_that_is_not_finite_stops_the_training_or_is_left_out(tmp_path: Path) -> None:
    file = exploding(tmp_path / "exploding.py", 2)
    config = replace(SMALL_TRAINING, distortion=file, warmup_mse=0.0)
    line = r"step 2 has a gradient that is not finite \(loss nan, bpp [\d.]+, distortion nan, .*; of [\w.]+ nan\)"
    with pytest.raises(ValueError, match=line):
        train(replace(config, output=str(tmp_path / "stopped")), Console(quiet=True))
    assert not list((tmp_path / "stopped").glob("*/codec.safetensors"))
    with pytest.raises(ValueError, match="step 3 has"):
        train(replace(config, output=str(tmp_path / "one"), skip_nonfinite=1), Console(quiet=True))
    output = io.StringIO()
    two = replace(config, output=str(tmp_path / "two"), skip_nonfinite=2)
    assert train(two, Console(file=output, width=200)) == 0
    assert "steps left out, for their gradients were not finite: 2, 3" in output.getvalue()
    (folder,) = (tmp_path / "two").iterdir()
    assert load_codec(folder / "codec.safetensors").header.steps == 6  # whose weights are finite


def test_ml_clipsim_settings_reach_the_metric() -> None:
    training = module(mlclipsim=MLCLIPSimConfig("demo", layers=[2], weights=[1, 0]))
    assert training.distortion.metric.layers == [2]  # type: ignore[union-attr]


def test_a_run_goes_on_with_its_optimiser_or_is_left_as_it_was(tmp_path: Path) -> None:
    config = replace(SMALL_TRAINING, distortion="mse", trainer=TrainerConfig(max_steps=1, accelerator="cpu"))
    folder = run(config, tmp_path)
    before = (folder / "config.yaml").read_bytes()
    longer = replace(config, trainer=TrainerConfig(max_steps=2, accelerator="cpu"), resume=str(folder / "last.ckpt"))
    with pytest.raises(ValueError, match="was soap: give --optimizer soap"):
        run(replace(longer, optimizer="adam"), tmp_path)
    assert (folder / "config.yaml").read_bytes() == before
    assert run(longer, tmp_path) == folder


@pytest.mark.parametrize("has_codec", [True, False])
def test_a_run_that_was_stopped_after_its_last_step_is_judged(has_codec: bool, tmp_path: Path) -> None:
    config = replace(SMALL_TRAINING, distortion="mse", trainer=TrainerConfig(max_steps=1, accelerator="cpu"))
    folder = run(config, tmp_path)
    (results,) = folder.glob("mbt2018-mean-mse.json")
    before = json.loads(results.read_text())["points"]
    for path in (results, folder / "curves.png", *([] if has_codec else [folder / "codec.safetensors"])):
        path.unlink()
    console = Console(file=io.StringIO(), width=200)
    assert train(replace(config, resume=str(folder / "last.ckpt"), output=str(tmp_path)), console) == 0
    assert "go on with" not in console.file.getvalue()  # type: ignore[attr-defined]
    after = json.loads(results.read_text())["points"]
    assert [each["bpp"] for each in after] == [each["bpp"] for each in before]
    assert (folder / "curves.png").is_file()


def test_what_a_resumed_run_may_change_and_what_it_keeps(tmp_path: Path) -> None:
    config = replace(SMALL_TRAINING, distortion="ms-ssim", warmup_mse=0.5,
                     trainer=TrainerConfig(max_steps=2, accelerator="cpu"))  # fmt: skip
    folder = run(config, tmp_path)
    before = (folder / "config.yaml").read_bytes()
    resume = replace(config, resume=str(folder / "last.ckpt"), trainer=TrainerConfig(max_steps=4, accelerator="cpu"))
    changes: list[dict[str, Any]] = [
        {"learning_rate": 1e-5}, {"lmbda": 0.02}, {"anchor_mse": 0.5}, {"seed": 1}, {"batch_size": 2}, {"name": "new"},
        {"warmup_mse": 0.1}, {"distortion_scale": 3.0},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(ValueError, match=f"begun with {next(iter(change))} .*--init .* in place of --resume"):
            run(replace(resume, **change), tmp_path)
        assert (folder / "config.yaml").read_bytes() == before
    run(replace(resume, clip_norm=0.5, num_workers=0), tmp_path)
    recorded = yaml.safe_load((folder / "config.yaml").read_text())
    assert (recorded["clip_norm"], recorded["trainer"]["max_steps"]) == (0.5, 4)
    assert recorded["warmup_mse"] == 0.25, "the warm-up was one step long, and is over"


def test_a_worker_whose_connection_breaks_is_found() -> None:
    """As it does where it dies while its batch is fetched, before torch tells of its end."""

    class Batches:
        """Stands where torch's iterator of a DataLoader does, in a traceback."""

        def __init__(self) -> None:
            self._workers = [get_context("spawn").Process(target=time.sleep, args=(60,)) for _ in range(2)]

        def _try_get_data(self) -> None:
            for worker in self._workers:
                worker.start()
            self._workers[1].kill()
            self._workers[1].join()
            raise ConnectionResetError(104, "Connection reset by peer")

    batches = Batches()
    with pytest.raises(ConnectionResetError) as info:
        batches._try_get_data()
    assert _dead_workers(info.value) == [str(batches._workers[1].pid)]
    batches._workers[0].kill()
    assert _dead_workers(ConnectionResetError(104, "of W&B's")) == []


@pytest.mark.parametrize("checkpoint_every", [1, 1000])
def test_a_worker_that_dies_is_named(checkpoint_every: int, tmp_path: Path) -> None:
    config = replace(SMALL_TRAINING, num_workers=1, checkpoint_every=checkpoint_every, name="run",
                     trainer=replace(SMALL_TRAINING.trainer, max_steps=100_000), output=str(tmp_path))  # fmt: skip
    killed: list[int] = []

    def kill() -> None:
        logs = tmp_path / "run/logs-1/metrics.csv"
        while not logs.exists():  # a step was made
            time.sleep(0.1)
        killed.extend(process.pid for process in active_children() if process.pid)
        os.kill(killed[0], signal.SIGKILL)

    Thread(target=kill, daemon=True).start()
    with pytest.raises(ValueError, match="ended early, probably for lack of memory; --num_workers 0 needs") as info:
        train(config, Console(quiet=True))
    assert f"process {killed[0]}," in str(info.value)
    last = tmp_path / "run/last.ckpt"
    assert (f"--resume {last} goes on" in str(info.value)) == (checkpoint_every == 1) == last.exists()
    if last.exists():
        assert load_codec(last).header.steps > 0
