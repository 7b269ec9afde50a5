"""Lightning callbacks: progress, and checkpoints that survive signals."""

import copy
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from lic.atomic import replacing
from lic.printing import Console, Words
from lic.settings.stages import value_at
from lic.settings.train import TrainConfig
from lic.training.module import CodecTraining
from lic.training.optimizers import build_optimizer

LONG_SECONDS = 15 * 60
"""From this on a training is told how to be shortened."""


REFRESH_STEPS = 10
"""From one reading of the numbers to the next, on a terminal."""


def ends_step(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Return whether a batch is the last of a step's, of which --trainer.accumulate_grad_batches makes several."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0


class StepProgress(Callback):
    """A bar over all steps with bpp, distortion, PSNR and time left; plain lines where the output is no terminal.

    Steps of the mse warm-up are cheaper than the rest. Before the first step both kinds are timed on noise, without
    changing anything; that is the first estimate, and then their ratio says what steps to come cost beside those seen.
    """

    def __init__(self, console: Console, num_lines: int = 20) -> None:
        self.console, self.num_lines = console, num_lines
        columns = (Words("training"), BarColumn(), MofNCompleteColumn(), Words("{task.description}"))
        self.progress = Progress(*columns, TimeElapsedColumn(), console=console)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, CodecTraining)
        own = _optimizer_seconds(pl_module)
        with trainer.precision_plugin.forward_context():
            early, late = (own + _pass_seconds(pl_module, step) for step in (0, trainer.max_steps - 1))
        self.early_cost, self.warmup_steps = early / late, pl_module.warmup_steps
        self.first_step = trainer.global_step
        left = late * self._work(self.first_step, trainer.max_steps)
        hint = "; --trainer.max_steps or --batch_size shortens it" if left > LONG_SECONDS else ""
        end = time.strftime("%H:%M", time.localtime(time.time() + left))
        self.console.print(f"a step takes about {late:.2g} s here, all of them {_duration(left)}, until {end}{hint}",
                           soft_wrap=True)  # fmt: skip
        self.bar = self.progress.add_task("", total=trainer.max_steps, completed=trainer.global_step)
        if self.console.is_terminal:
            self.progress.start()

    def _work(self, first: int, end: int) -> float:
        """Return what steps cost, in those after the warm-up."""
        num_early = max(min(end, self.warmup_steps) - first, 0)
        return num_early * self.early_cost + end - first - num_early

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not ends_step(trainer, batch_idx):
            return
        step, steps, timed_from = trainer.global_step, trainer.max_steps, self.first_step + 1
        if step == timed_from:  # an optimiser's first step is not like the others
            self.start = time.monotonic()
        is_due = step % max(steps // self.num_lines, 1) == 0 or step == self.first_step + 5
        self.progress.update(self.bar, completed=step)
        is_shown = is_due or (self.console.is_terminal and step % REFRESH_STEPS == 0)  # numbers wait for the device
        if step == timed_from or not is_shown:
            return
        left = (time.monotonic() - self.start) / self._work(timed_from, step) * self._work(step, steps)
        values = [float(trainer.callback_metrics[f"train/{name}"]) for name in ("bpp", "distortion", "psnr_db")]
        text = "bpp {:.3f}  distortion {:.4f}  PSNR {:.2f} dB".format(*values) + f"  {_duration(left)} left"
        self.progress.update(self.bar, description=text)
        if not self.console.is_terminal:
            self.console.print(f"step {step:5d}/{steps}  {text}")

    def on_train_end(self, *_: Any) -> None:
        self.progress.stop()

    def on_exception(self, *_: Any) -> None:
        self.progress.stop()


def _pass_seconds(module: CodecTraining, step: int) -> float:
    """Return the seconds of a step's pass, forward and backward, the third of three; nothing is changed."""
    side = int(value_at(module.config.crop_stages, step))
    weights = [weight for weight in module.codec.weights() if weight.requires_grad]
    image = torch.rand(module.config.batch_size, 3, side, side, device=module.device)
    for _ in range(3):
        start = time.monotonic()
        loss = module.rate_distortion(image, step).total
        torch.autograd.grad(loss, weights, allow_unused=True)  # `backward` would set off DDP's reduction
        if image.is_cuda:
            torch.cuda.synchronize()
        seconds = time.monotonic() - start
    return seconds


def _optimizer_seconds(module: CodecTraining) -> float:
    """Return the seconds of an optimiser's own part of a step, of a copy, the mean of two after four."""
    config, codec = module.config, copy.deepcopy(module.codec)
    optimizer = build_optimizer(config.optimizer, codec, config.rate_stages[0][1], config.aux_learning_rate)
    for parameter in codec.parameters():
        parameter.grad = torch.ones_like(parameter)
    for step in range(6):
        if step == 4:
            start = time.monotonic()
        optimizer.step()
    return (time.monotonic() - start) / 2


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C; what SLURM, Kubernetes and a shutdown send; a closed terminal; what SLURM can send before its time limit."""


class LastCheckpoint(Callback):
    """Writes last.ckpt every so many steps, at the end, and on a signal, which ends the training after this step.

    Args:
        folder: the run's.
        config: how often, and how many of them are kept.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self.path, self.config = folder / "last.ckpt", config
        self.stopped_by: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self.saved_at = 0

    @property
    def exit_code(self) -> int:
        """0, or what shells say of a process that a signal ended."""
        return 128 + self.stopped_by if self.stopped_by else 0

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.saved_at = trainer.global_step

        def stop(number: int, _: Any) -> None:
            self.stopped_by = signal.Signals(number)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C aborts at once

        self._previous = {number: signal.signal(number, stop) for number in STOP_SIGNALS}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not ends_step(trainer, batch_idx):
            return
        step = trainer.global_step
        # one process may have got the signal alone, or a step before the others
        is_stopped = trainer.strategy.reduce_boolean_decision(self.stopped_by is not None, all=False)
        if is_stopped or step % self.config.checkpoint_every == 0 or step == trainer.max_steps:
            self._save(trainer)
            trainer.should_stop |= is_stopped  # only now: a step that is not saved must not be the last

    def _save(self, trainer: pl.Trainer) -> None:
        self.saved_at = trainer.global_step
        with replacing(self.path) if trainer.is_global_zero else nullcontext(self.path) as path:
            trainer.save_checkpoint(path)
        if trainer.is_global_zero and self.config.keep_checkpoints:
            with replacing(self.path.with_name(f"step-{trainer.global_step}.ckpt")) as copy_path:
                shutil.copyfile(self.path, copy_path)
            kept = sorted(self.path.parent.glob("step-*.ckpt"), key=lambda path: int(path.stem.removeprefix("step-")))
            for path in kept[: -self.config.keep_checkpoints]:
                path.unlink()

    def on_train_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._restore_signals()
        if trainer.global_step not in (0, self.saved_at):  # Lightning's max_time ended it, or the like
            self._save(trainer)

    def _restore_signals(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore_signals()
        if isinstance(exception, JudgingStopped):
            self.stopped_by = exception.signal
            if trainer.global_step < trainer.max_steps:
                self._save(trainer)


class JudgingStopped(Exception):
    """A signal ended the judging of a codec, which keeps a record of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """Raise `JudgingStopped` where a signal comes, which elsewhere lets the step at hand end first."""

    def stop(number: int, _: Any) -> None:
        raise JudgingStopped(number)

    previous = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
