"""configs/slurm/train.sh under a stand-in of SLURM: its variables, `srun` and `scontrol`, and the signal it sends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lic.codecs import load_codec

ROOT = Path(__file__).parents[2]
SMALL = ["--num_channels=8", "--num_latent_channels=12", "--eval.limit=2", "--wandb.mode=disabled", "--distortion=mse",
         "--crop_px=32", "--batch_size=1", "--trainer.accelerator=cpu", "--trainer.max_steps=100000"]  # fmt: skip


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def test_the_time_limit_queues_the_job_again_and_it_goes_on(tmp_path: Path) -> None:
    place, programs = tmp_path / "place", tmp_path / "programs"
    place.mkdir()
    programs.mkdir()
    program(programs / "srun", f"echo $$ > {tmp_path}/pid\nexec \"$@\"")
    program(programs / "scontrol", f"echo \"$@\" >> {tmp_path}/queued")
    program(programs / "python", f"exec {sys.executable} \"$@\"")
    (place / "train.py").symlink_to(ROOT / "train.py")
    variables = {"SLURM_JOB_NAME": "photos", "SLURM_JOB_ID": "7", "SLURM_NNODES": "1", "SLURM_NTASKS_PER_NODE": "1",
                 "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
                 "SLURM_NODELIST": "localhost", "PYTHONPATH": str(ROOT)}  # fmt: skip
    environment = {**os.environ, **variables, "PATH": f"{programs}:{os.environ['PATH']}"}
    reached = [0]
    for number in (signal.SIGUSR1, signal.SIGTERM):
        log = tmp_path / f"{number.name}.log"
        with log.open("w") as file:
            job = subprocess.Popen([str(ROOT / "configs/slurm/train.sh"), *SMALL], stdout=file, stderr=file, cwd=place,
                                   env=environment)  # fmt: skip
            deadline = time.monotonic() + 200
            while "\nstep" not in log.read_text() and time.monotonic() < deadline and job.poll() is None:
                time.sleep(0.2)
            os.kill(int((tmp_path / "pid").read_text()), number)
            assert job.wait(60) == 128 + number, log.read_text()
        assert f"interrupted by {number.name}" in log.read_text()
        reached.append(load_codec(place / "runs/photos/last.ckpt").header.steps)
    assert 0 < reached[1] < reached[2]
    assert (tmp_path / "queued").read_text() == 2 * "requeue 7\n"
    assert [path.name for path in (place / "runs").iterdir()] == ["photos"]
