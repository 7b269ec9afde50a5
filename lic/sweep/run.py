"""Every combination of a sweep, run on this machine; lic/commands/sweep.py says what happens to each.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import yaml
from safetensors import SafetensorError, safe_open

from lic.settings import require
from lic.sweep.file import Run

POLL_SECONDS = 0.2


def is_complete(folder: Path) -> bool:
    """Return whether a run's folder holds the codec of its last step, and what came of judging it.

    `--eval.every_n_steps` writes earlier codecs. What was not judged is, if it can be resumed.
    """
    codec, settings = folder / "codec.safetensors", folder / "config.yaml"
    if not codec.is_file() or not settings.is_file():
        return codec.is_file()
    try:
        with safe_open(codec, "np") as file:
            steps = json.loads((file.metadata() or {})["lic"])["steps"]
        is_trained = bool(steps >= yaml.safe_load(settings.read_text())["trainer"]["max_steps"])
        is_judged = any(folder.glob("*.json")) or any(folder.glob("*/curves.png"))  # of several sets of images
        return is_trained and (is_judged or not (folder / "last.ckpt").is_file())
    except (SafetensorError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{codec} or config.yaml beside it is damaged; move {folder} away") from error


def check_folder(folder: Path) -> None:
    """Refuse what is in the way of a run and was not left by an earlier start of it."""
    require(not folder.exists() or folder.is_dir(), f"{folder} is in the way: it is no folder")
    is_ours = not folder.exists() or (folder / "config.yaml").is_file() or (folder / "last.ckpt").is_file()
    require(is_ours or not any(folder.iterdir()), f"{folder} is in the way: it is not a run's folder; move it")


@dataclass
class _Job:
    """A run at work."""

    run: Run
    slot: int  # of those that work at the same time
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int  # an earlier start's lines end there
    start: float

    @property
    def name(self) -> str:
        return self.run.folder.name

    @property
    def minutes(self) -> str:
        return f"{(time.monotonic() - self.start) / 60:.1f} min"

    def last_line(self) -> str:
        """Return the last line of the log that says something."""
        text = self.log.read_bytes()[self.log_start :].decode(errors="replace")
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no output")


class Sweep:
    """Keeps so many runs at work until all are done."""

    def __init__(self, num_jobs: int, lock: int) -> None:
        self.num_jobs, self.lock = num_jobs, lock
        self.jobs: list[_Job] = []
        self.failed: list[str] = []
        self.num_interrupts = 0
        self.gpus = visible_gpus() if num_jobs > 1 else []

    def run(self, runs: Sequence[Run]) -> int:
        """Run them; return the exit code."""
        waiting = list(runs)
        with _handling_interrupts(self._interrupt):
            try:
                while self.jobs or (waiting and not self.num_interrupts):
                    while waiting and len(self.jobs) < self.num_jobs and not self.num_interrupts:
                        self._start(waiting.pop(0))
                    time.sleep(POLL_SECONDS)
                    for job in [job for job in self.jobs if job.process.poll() is not None]:
                        self.jobs.remove(job)
                        self._report(job)
            finally:
                for job in self.jobs:
                    job.process.send_signal(signal.SIGINT)
        if self.num_interrupts:
            tell("interrupted; the same command goes on")
            return 130
        tell(f"{len(runs) - len(self.failed)} done, {len(self.failed)} failed")
        for name in self.failed:
            tell(f"failed: {name}")
        return 1 if self.failed else 0

    def _start(self, run: Run) -> None:
        command, log = run.command, run.folder.with_name(f"{run.folder.name}.log")
        is_resumed = (run.folder / "last.ckpt").is_file()
        try:
            if is_resumed:
                command = [*command, f"--resume={run.folder / 'last.ckpt'}"]
            elif run.folder.exists():  # interrupted before its first checkpoint; train.py would make NAME-2
                shutil.rmtree(run.folder)
            with log.open("ab") as file:
                slot = min(set(range(self.num_jobs)) - {job.slot for job in self.jobs})
                job = _Job(run, slot, self._spawn(command, slot, file), log, file.tell(), time.monotonic())
        except OSError as error:
            self.failed.append(run.folder.name)
            tell(f"{run.folder.name}  cannot be started: {error}")
            return
        self.jobs.append(job)
        if self.num_interrupts:  # while it was being started
            job.process.send_signal(signal.SIGINT)
        tell(f"{job.name}  {'resumed' if is_resumed else 'started'}")

    def _spawn(self, command: Sequence[str], slot: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        num_threads = max(len(os.sched_getaffinity(0)) // self.num_jobs, 1)
        environment = {"OMP_NUM_THREADS": str(num_threads), "PYTHONUNBUFFERED": "1", **os.environ}
        if own := self.gpus[slot % len(self.gpus) :: self.num_jobs] if self.gpus else []:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        # a process group of its own: the terminal's Ctrl-C reaches us alone, and each run gets it once, from us
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                stderr=subprocess.STDOUT, process_group=0, pass_fds=(self.lock,))  # fmt: skip

    def _interrupt(self) -> None:
        self.num_interrupts += 1
        for job in self.jobs:
            job.process.send_signal(signal.SIGINT if self.num_interrupts == 1 else signal.SIGKILL)

    def _report(self, job: _Job) -> None:
        code = job.process.returncode
        if code == 0:
            tell(f"{job.name}  done in {job.minutes}")
        elif self.num_interrupts:
            tell(f"{job.name}  stopped after {job.minutes}")
        else:
            self.failed.append(f"{job.name}  [{job.log}]")
            tell(f"{job.name}  failed after {job.minutes} (exit code {code}): {job.last_line()}  [{job.log}]")


def visible_gpus() -> list[str]:
    """Return the GPUs that runs may share out, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    import torch  # seconds, which a sweep of one job at a time does without

    return [str(i) for i in range(torch.cuda.device_count())]


@contextlib.contextmanager
def _handling_interrupts(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call it on Ctrl-C, and when we are told to end or lose the terminal, instead of leaving the runs behind."""

    def handle(number: int, frame: FrameType | None) -> None:
        interrupt()

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signals.append(signal.SIGHUP)
    previous = {number: signal.signal(number, handle) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def locked(output: Path) -> Iterator[int]:
    """Hold a lock on the folder, which the runs inherit: none is started twice, even if a sweep was killed alone."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another sweep, or a run that one left behind, is at work in {output}") from error
        yield file.fileno()


def tell(line: str) -> None:
    print(line, flush=True)
