"""What `--resume` goes on with: the run's own settings, and those of the command line that a run may change."""

import dataclasses
from pathlib import Path

import torch

from lic.cli import parse_config
from lic.codecs import load_codec
from lic.printing import Console
from lic.settings import require
from lic.settings.train import TrainConfig

CHANGEABLE = ("resume", "data_root", "num_workers", "clip_norm", "skip_nonfinite", "checkpoint_every",
              "keep_checkpoints", "eval", "wandb", "trainer")  # fmt: skip
"""What another machine, or a run in trouble, may need; whatever else a run is made of, it keeps."""


def check_resumable(path: Path, config: TrainConfig, console: Console) -> None:
    """Refuse a checkpoint that is damaged, of another optimiser, or not a training's; say if no steps are left."""
    require(path.suffix == ".ckpt", f"--resume takes a run's last.ckpt, got {path}; --init takes weights alone")
    done, steps = load_codec(path, [config.codec]).header.steps, config.trainer.max_steps
    require(done <= steps, f"run {path.parent} is at step {done}; give --trainer.max_steps beyond it")
    if done == steps:
        console.print(f"run {path.parent} is complete at step {steps}, and is judged now; --trainer.max_steps beyond "
                      "it goes on", soft_wrap=True)  # fmt: skip
    optimizer = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("optimizer", "adam")  # the first
    require(optimizer == config.optimizer, f"the optimiser of checkpoint {path} was {optimizer}: give --optimizer "
                                           f"{optimizer} --learning_rate as in config.yaml, or start anew with --init")


def kept(config: TrainConfig, path: Path) -> TrainConfig:
    """Return the settings with which a run goes on, as its config.yaml shall have them.

    With more steps than it was begun with its stages last as long as they did: their shares shrink. The cosine of the
    learning rate becomes that of the new length.

    Args:
        config: the run's config.yaml with the command line over it, nothing left to be resolved.
        path: its last.ckpt.

    Raises:
        ValueError: a setting that a run keeps was changed.
    """
    saved = path.with_name("config.yaml")
    if not saved.is_file():
        return config
    before = parse_config(TrainConfig, ["--config", str(saved)], "lic train", "")
    for field in dataclasses.fields(config):
        was, now = getattr(before, field.name), getattr(config, field.name)
        require(was == now or field.name in CHANGEABLE, f"the run of {path} was begun with {field.name} {was}, and "
                f"keeps it; with {now} start a new one from its weights: --init {path} in place of --resume")
    share = min(before.trainer.max_steps / config.trainer.max_steps, 1.0)
    return dataclasses.replace(config, warmup_mse=config.warmup_mse * share, single_rate=config.single_rate * share)
