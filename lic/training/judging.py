"""The callback that has the codec judged: the rate-task curve during a training and at its end."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lic.codecs import load_codec, save_codec
from lic.curves.results import Point, Results, task_of
from lic.evaluation.coders import Coder, LearnedCoder
from lic.evaluation.plan import place
from lic.evaluation.rate_task import NUM_SAMPLES, RateTask
from lic.evaluation.records import Shard
from lic.evaluation.written import draw_grid, write_results
from lic.settings.evaluate import TrainingEvalConfig
from lic.tracking.artifacts import log_artifacts
from lic.tracking.curves import log_curve, log_results
from lic.tracking.runs import only_reporting
from lic.training.callbacks import ends_step, stopped_at_once
from lic.training.module import CodecTraining


class RateTaskCallback(Callback):
    """Every n steps and at the end: saves the codec and has images coded to bytes, decoded, and judged.

    Scalars, curves and grids of reconstructions go to W&B and to files; at the end the baselines at the nearest rates
    are judged too. All processes share the work; rank 0 writes.

    Args:
        rate_tasks: what is evaluated.
        folder: the run's; that of rank 0 is taken.
        device: of the codec.
        config: how often, and the baselines.
    """

    def __init__(
        self, rate_tasks: Sequence[RateTask], folder: Path, device: torch.device, config: TrainingEvalConfig
    ) -> None:
        self.rate_tasks, self.folder, self.device = rate_tasks, folder, device
        self.every_n_steps, self.baseline = config.every_n_steps, config.baseline
        self.results: list[list[Results]] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.folder = trainer.strategy.broadcast(self.folder)
        place(self.rate_tasks, self.folder, NUM_SAMPLES)
        for each in self.rate_tasks:
            each.shard = Shard(trainer.global_rank, trainer.world_size, trainer.strategy.barrier)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        is_due = ends_step(trainer, batch_idx) and self.every_n_steps > 0 and step % self.every_n_steps == 0
        if is_due and step < trainer.max_steps and not trainer.should_stop:
            with stopped_at_once():
                self._judge(trainer, pl_module, False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step >= trainer.max_steps:
            with stopped_at_once():
                self._judge(trainer, pl_module, True)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.results:  # a run that was resumed after its last step: Lightning leaves its training out
            self.on_train_end(trainer, pl_module)

    def _judge(self, trainer: pl.Trainer, module: pl.LightningModule, is_final: bool) -> None:
        assert isinstance(module, CodecTraining)
        checkpoint = self.folder / "codec.safetensors"
        if trainer.is_global_zero:
            save_codec(module.best_codec, module.header(), checkpoint)
        trainer.strategy.barrier()
        loaded = load_codec(checkpoint, [module.config.codec])
        coders: list[Coder] = [LearnedCoder(loaded, lmbda, self.device) for lmbda in loaded.header.lmbda]
        self.results = [each.results(coders) for each in self.rate_tasks]
        if is_final:
            for rate_task, results in zip(self.rate_tasks, self.results, strict=True):
                middle = trainer.strategy.broadcast(_middle(results[0]).bpp if results else 0.0)
                results += rate_task.results(rate_task.comparable(self.baseline, middle))
        if trainer.is_global_zero:
            self._publish(trainer, checkpoint, is_final)
        trainer.strategy.barrier()

    def _publish(self, trainer: pl.Trainer, checkpoint: Path, is_final: bool) -> None:
        files = []
        for rate_task, results in zip(self.rate_tasks, self.results, strict=True):
            assert rate_task.folder is not None
            files += [*write_results(results, rate_task.folder), rate_task.folder / "curves.png"]
            draw_grid(rate_task, results[0], rate_task.folder / "reconstructions.png")
            if not is_final:  # the records of weights that the training has left behind
                shutil.rmtree(rate_task.folder / "records", ignore_errors=True)
        scalars: dict[str, float] = {}
        for results in self.results:
            scalars = _scalars(results[0]) | scalars  # of a quality of several sets of images: the first's
        for logger in trainer.loggers:
            logger.log_metrics(scalars, trainer.global_step)
        everything = [result for results in self.results for result in results]
        with only_reporting("results"):
            log_results(everything, [each.folder for each in self.rate_tasks if each.folder], trainer.global_step)
            if is_final:
                for results in self.results:
                    log_curve(results[0])
                log_artifacts(everything, files, made=checkpoint)


def _middle(results: Results) -> Point:
    return results.points[len(results.points) // 2]


def _scalars(results: Results) -> dict[str, float]:
    """Return the middle point's values by their log keys."""
    point = _middle(results)
    scores = {f"val/{task}/{results.tasks[task_of(task)].headline}": point.score(task) for task in point.tasks}
    return {"val/bpp": point.bpp, **{f"val/{name}": value for name, value in point.qualities.items()}, **scores}
