"""`lic train`: settings -> a run folder with config, checkpoints, logs, results and figure."""

import dataclasses
import logging
import os
import re
import signal
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from lic.cli import save_config
from lic.codecs import Codec, Header, build_codec, load_codec
from lic.codecs.build import codec_card
from lic.codecs.zoo import load_zoo_weights, zoo_quality, zoo_widths
from lic.curves.naming import Curve
from lic.curves.table import print_results
from lic.data.crops import Crop, Crops, StepSampler, collate
from lic.data.source import Source
from lic.device import Precision, pick_precision
from lic.distortions import build_distortion, distortion_card, with_backbones
from lic.distortions.scale import is_calibrated, read_scale
from lic.evaluation.plan import plan_evaluation
from lic.printing import Console
from lic.settings import require
from lic.settings.metrics import MetricsConfig
from lic.settings.names import CodecName
from lic.settings.train import TrainConfig, TrainerConfig
from lic.tracking.runs import finish_wandb, start_wandb
from lic.training.callbacks import STOP_SIGNALS, JudgingStopped, LastCheckpoint, StepProgress
from lic.training.decoder import decoder_to_tune, with_label
from lic.training.images import training_images
from lic.training.judging import RateTaskCallback
from lic.training.module import CodecTraining
from lic.training.resume import check_resumable, kept

HARMLESS = (
    ".*does not have many workers.*",  # one worker is enough for 128 px crops
    ".*The number of training batches.*is smaller than the logging interval.*",
    ".*your dataloader is not resumable.*",  # it is: StepSampler starts at the present step
    ".*module\\(s\\) in eval mode at the start of training.*",  # the metric's encoder
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning under torch 2.15
    ".*is a wandb run already in progress.*",
    ".*`lr_scheduler.step\\(\\)`.*before `optimizer.step\\(\\)`.*",
)


def train(config: TrainConfig, console: Console | None = None, program: str = "python train.py") -> int:
    """Train a codec, or go on training it, and have it judged; return the exit code (130 after Ctrl-C).

    Args:
        config: every setting.
        console: where progress and tables go; default standard output.
        program: how the user calls it.
    """
    console = console or Console()
    is_first = not getattr(rank_zero_only, "rank", 0)  # of the processes of a distributed training
    console.quiet |= not is_first
    device = check_devices(config.trainer)
    precision = pick_precision(config.trainer.precision, device)
    config = with_label(with_widths(with_precision(config, precision)))
    if config.resume is not None:
        check_same(config.resume, load_codec(config.resume, [config.codec]).header, config)
        check_resumable(Path(config.resume), config, console)
    images, held_out = training_images(config.data, config.data_root, console)
    console.print(f"{precision}", soft_wrap=True)
    pl.seed_everything(config.seed, verbose=False)
    codec = initial_codec(config)
    if config.codec not in get_args(CodecName):
        codec.check_coding()
    asked = MetricsConfig(config.mlclipsim, config.features)  # an evaluation on other images has other defaults
    metrics = with_backbones(asked, config.data == "scenes")
    config = dataclasses.replace(config, mlclipsim=metrics.mlclipsim, features=metrics.features)
    distortion = build_distortion(config.distortion, metrics)
    if config.distortion_scale is not None:
        distortion.scale = read_scale(config.distortion_scale, distortion, metrics)
        config = dataclasses.replace(config, distortion_scale=distortion.scale)
    elif not is_calibrated(distortion.name, metrics):
        console.print(f"the scale {distortion.scale:g} was not found for this backbone: an lmbda may mean other bits "
                      "than with mse; `python -m lic calibrate` finds one for --distortion_scale", soft_wrap=True)
    if config.resume is not None:
        config = kept(config, Path(config.resume))
    module = CodecTraining(codec, distortion, config)
    settings = dataclasses.asdict(config) | {"precision": str(precision)}
    rate_tasks = plan_evaluation(config.eval, asked, device, console, settings, held_out=held_out)
    if not is_first:
        folder = Path(config.output)  # rank 0's is broadcast
        rate_task = RateTaskCallback(rate_tasks, folder, device, config.eval)
        fit(module, images, folder, [LastCheckpoint(folder, config), rate_task])
        return 0
    for each in rate_tasks:
        _ = each.ceiling  # whatever is missing shows before the training, not after it
    folder = run_folder(config)
    save_config(dataclasses.replace(config, resume=None), folder / "config.yaml", str(precision))
    console.print(f"run folder {folder}", soft_wrap=True)
    group = _curve(config).name
    start_wandb(config.wandb, folder.name, dataclasses.asdict(config), folder, "train", group, config.lmbdas)
    last = LastCheckpoint(folder, config)
    rate_task = RateTaskCallback(rate_tasks, folder, device, config.eval)
    fit(module, images, folder, [StepProgress(console), last, rate_task])
    code = finish(module, images, rate_task, last, console)
    if last.stopped_by or module.global_step < config.trainer.max_steps:
        what = f"interrupted by {last.stopped_by.name}" if last.stopped_by else "ended before its last step"
        console.print(f"{what}; go on with: {program} --resume {last.path}", soft_wrap=True)
    return code


def with_precision(config: TrainConfig, precision: Precision) -> TrainConfig:
    """Return the settings with the arithmetic that was taken, so that a resumed run goes on in it."""
    return dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, precision=precision.name))


def check_devices(trainer: TrainerConfig) -> torch.device:
    """Return the device of the task networks, refusing what this machine does not have.

    Raises:
        ValueError: more devices than there are, or an accelerator that is not there.
    """
    num_gpus = torch.cuda.device_count()
    is_gpu = trainer.accelerator in ("gpu", "cuda") or (trainer.accelerator == "auto" and num_gpus > 0)
    require(trainer.accelerator in ("auto", "cpu", "gpu", "cuda"),
            f"trainer.accelerator '{trainer.accelerator}' is unknown. Choose from: auto, cpu, gpu, cuda")
    available = num_gpus if is_gpu else 1
    if trainer.accelerator != "cpu":  # several CPU processes are for tests of DDP; they have to be asked for
        require(trainer.devices <= available,
                f"trainer.devices {trainer.devices} asks for more than this machine's {num_gpus} GPUs; "
                f"{'use' if num_gpus else 'it trains on the CPU with'} --trainer.devices {max(num_gpus, 1)}")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if is_gpu else torch.device("cpu")


DEMO_WIDTHS = {"num_channels": 48, "num_latent_channels": 64}
"""N and M that train in minutes on two cores, unless others are asked for."""


def with_widths(config: TrainConfig) -> TrainConfig:
    """Return the settings with the codec's widths: as asked for, as the zoo has them, as published, or the demo's.

    Raises:
        ValueError: no such codec, or one that has no such widths or no grid of lmbdas.
    """
    card, quality = codec_card(config.codec), zoo_quality(config.init)
    require(len(config.lmbdas) == 1 or card.has_grid, f"{config.codec} has one rate: give one --lmbda")
    default: dict[str, Any] = dict(card.options)
    if quality is not None:
        default |= dict(zip(("num_channels", "num_latent_channels"), zoo_widths(card.name, quality), strict=True))
    elif config.data == "scenes" and config.codec in get_args(CodecName):
        default |= DEMO_WIDTHS
    own = {name: getattr(config, name) or (default[name] if name in card.options else None) for name in DEMO_WIDTHS}
    card.choose(**own)
    n, m = own.values()
    return dataclasses.replace(config, num_channels=n, num_latent_channels=m)


def initial_codec(config: TrainConfig) -> Codec:
    """Return the codec to start from: new, or the weights of `--init`.

    Raises:
        ValueError: the checkpoint is of another codec or other widths, or the zoo's cannot be had.
    """
    codec = build_codec(config.codec, config.num_channels, config.num_latent_channels, config.lmbdas)
    quality = zoo_quality(config.init)
    if quality is not None:
        load_zoo_weights(codec, config.codec, quality)
        return codec
    if config.init is None:
        codec.centre_quantiles()
        return codec
    loaded = load_codec(config.init, [config.codec])
    check_same(config.init, loaded.header, config)
    is_decoder = config.train == "decoder"
    require(not (codec.grid or is_decoder) or loaded.header.lmbda == config.lmbdas,
            f"checkpoint {config.init} has --lmbda {' '.join(map(str, loaded.header.lmbda))}; give the same")
    return decoder_to_tune(loaded, config) if is_decoder else loaded.codec


def check_same(path: str, header: Header, config: TrainConfig) -> None:
    """Refuse a checkpoint of another codec or other widths than the settings'."""
    card = codec_card(config.codec)
    asked = card.choose(config.num_channels, config.num_latent_channels)
    require((header.codec, header.options) == (card.name, asked),
            f"checkpoint {path} is of codec {header.codec} {_words(header.options)}, not {card.name} {_words(asked)}; "
            "give --codec, --num_channels and --num_latent_channels as it has them")


def _words(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def run_folder(config: TrainConfig) -> Path:
    """Return the run's folder: that of the checkpoint resumed, else a new one below `--output`."""
    if config.resume is not None:
        return Path(config.resume).parent
    curve = _curve(config)
    name = config.name or "-".join([curve.stem, *(f"{lmbda:g}" for lmbda in config.lmbdas)])
    for number in range(1, 10_000):
        folder = Path(config.output) / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            require(folder.is_dir(), f"{folder} is in the way: it is no folder")
    raise ValueError(f"{config.output} holds 10,000 runs named {name}; give --name")


def _curve(config: TrainConfig) -> Curve:
    return Curve(codec_card(config.codec).name, distortion_card(config.distortion).name, config.label)


def fit(module: CodecTraining, images: Source, folder: Path, callbacks: list[pl.Callback]) -> None:
    """Run Lightning's Trainer from the present step of the run to its last."""
    config, hardware = module.config, module.config.trainer
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message)
    assert hardware.precision != "auto", "resolved by train"
    # what "deterministic" would fill new memory with, at 4 % of a step, to show who reads it unwritten
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # torch's stub lacks it
    is_distributed = hardware.devices * hardware.num_nodes > 1
    num_parts = len(list(folder.glob("logs*")))  # a resumed run keeps the logs of its earlier parts
    trainer = pl.Trainer(
        max_steps=hardware.max_steps,
        max_epochs=-1,
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.num_nodes,
        precision=hardware.precision,
        callbacks=callbacks,
        logger=[CSVLogger(folder, name="", version=f"logs-{num_parts + 1}"), WandbLogger(save_dir=folder)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **{
            "strategy": "ddp_find_unused_parameters_true" if is_distributed and module.leaves_weights_aside else "auto",
            "log_every_n_steps": 10,
            "deterministic": "warn",
            **hardware.further,
        },
    )
    module.train()
    try:
        trainer.fit(module, _Loader(images, config), ckpt_path=config.resume, weights_only=True)
    except JudgingStopped:
        return  # LastCheckpoint knows
    except (RuntimeError, OSError, EOFError) as error:
        if lost := _lost(error, trainer):
            last = folder / "last.ckpt"  # of the run on rank 0 only
            way = f"--resume {last} goes on" if last.exists() else "--resume goes on from last.ckpt, if it had one yet"
            raise ValueError(f"{lost}; {way}") from error
        raise


def _lost(error: Exception, trainer: pl.Trainer) -> str | None:
    """Return which other process ended, if that is what happened; a worker's end may be told in any line of ours."""
    message = str(error)
    told = re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed|exited)", message)
    if worker := told[1] if told else ", ".join(_dead_workers(error)):
        return (f"the worker that read images, process {worker}, ended early, probably for lack of memory; "
                "--num_workers 0 needs least")  # fmt: skip
    if trainer.world_size > 1 and re.search("gloo|NCCL", message):
        return f"process {trainer.global_rank} of {trainer.world_size} lost another one, which ended"
    return None


def _dead_workers(error: Exception) -> list[str]:
    """Return the workers that ended while a batch of theirs was fetched: then the connection to them breaks first."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "_try_get_data":  # torch's, in the main process
            return [str(each.pid) for each in frame.f_locals["self"]._workers if each.exitcode not in (None, 0)]
    return []


class _Loader(pl.LightningDataModule):
    """The crops, from the step at which the trainer stands."""

    def __init__(self, images: Source, config: TrainConfig) -> None:
        super().__init__()
        self.images, self.config = images, config

    def train_dataloader(self) -> DataLoader[Crop]:
        assert self.trainer is not None
        config, trainer = self.config, self.trainer
        rank, world = trainer.global_rank, trainer.world_size
        sampler = StepSampler(self.images.groups, config.batch_size, config.crop_stages, config.seed,
                              trainer.global_step, rank, world, config.trainer.accumulated)  # fmt: skip
        crops = Crops(self.images, config.flips, config.min_scale)
        workers = config.num_workers
        return DataLoader(
            crops, batch_sampler=sampler, collate_fn=collate, num_workers=workers, worker_init_fn=_ignore_signals,
            persistent_workers=workers > 0, pin_memory=trainer.strategy.root_device.type == "cuda",
        )  # fmt: skip


def _ignore_signals(_: int) -> None:
    """Leave Ctrl-C and its like, which whole groups of processes get, to the main one: it ends the step at hand."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def finish(
    module: CodecTraining, images: Source, rate_task: RateTaskCallback, last: LastCheckpoint, console: Console
) -> int:
    """Print what a run gave and where it is; return its exit code."""
    folder = last.path.parent
    if module.unreadable:
        names = ", ".join(images.name(index) for index in sorted(module.unreadable))
        console.print(f"{len(module.unreadable)} images could not be read and were skipped: {names}", soft_wrap=True)
    for results in rate_task.results:
        print_results(results, console)
    if rate_task.results:
        console.print(f"checkpoint {folder / 'codec.safetensors'}; results and curves.png beside it", soft_wrap=True)
    finish_wandb(console)
    if module.skipped:
        steps = ", ".join(map(str, module.skipped))
        console.print(f"steps left out, for their gradients were not finite: {steps}", soft_wrap=True)
    return last.exit_code
