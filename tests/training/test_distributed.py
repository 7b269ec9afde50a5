"""Several processes: two on one CPU, as Lightning starts them for two GPUs; further arguments of its Trainer."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lic.codecs import load_codec

ROOT = Path(__file__).parents[2]
SMALL = ["--num_channels=8", "--num_latent_channels=12", "--eval.limit=2", "--wandb.mode=disabled", "--distortion=mse",
         "--num_workers=0", "--trainer.accelerator=cpu"]  # fmt: skip


def command(output: Path, processes: int, *further: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *SMALL, f"--output={output}", f"--trainer.devices={processes}",
            *further]  # fmt: skip


def last_losses(folder: Path) -> dict[str, float]:
    rows = list(csv.DictReader((folder / "logs-1/metrics.csv").read_text().splitlines()))
    return {name: float(value) for name, value in rows[0].items() if name.startswith("train/")}


def test_two_processes_are_one_of_twice_the_batch(tmp_path: Path) -> None:
    losses = []
    for processes, batch_size in ((2, 2), (1, 4)):
        further = [f"--name={processes}", f"--batch_size={batch_size}", "--trainer.max_steps=10"]
        job = command(tmp_path, processes, *further, "--learning_rate=1e-9")
        subprocess.run(job, check=True, timeout=300, cwd=ROOT)
        assert load_codec(tmp_path / f"{processes}/codec.safetensors").header.steps == 10
        losses.append(last_losses(tmp_path / str(processes)))
    for name in ("train/bpp", "train/distortion", "train/loss"):  # same crops and weights, other noise
        assert losses[0][name] == pytest.approx(losses[1][name], rel=0.02), name


def test_two_processes_train_the_grid_in_one_checkpoint(tmp_path: Path) -> None:
    grid = ["--codec=mbt2018-mean-vbr", "--lmbda", "0.0018", "0.025"]
    steps = ["--batch_size=2", "--trainer.max_steps=4"]
    subprocess.run(command(tmp_path, 2, *steps, *grid), check=True, timeout=300, cwd=ROOT)
    (folder,) = tmp_path.iterdir()
    header = load_codec(folder / "codec.safetensors").header
    assert folder.name == "mbt2018-mean-vbr-mse-0.0018-0.025" and header.lmbda == [0.0018, 0.025]


def test_a_process_whose_fellow_dies_ends_in_a_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        job = command(tmp_path / "runs", 2, "--batch_size=1", "--crop_px=64", "--trainer.max_steps=100000")
        process = subprocess.Popen(job, stdout=file, stderr=file, cwd=ROOT, start_new_session=True)
        try:
            deadline = time.monotonic() + 200
            while "step     5/" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.5)
            process.kill()  # rank 0 alone
            process.wait()
            while "lost another one" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.5)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    line = "process 1 of 2 lost another one, which ended; --resume goes on from last.ckpt, if it had one yet"
    assert log.read_text().splitlines()[-1] == f"train.py: {line}"
