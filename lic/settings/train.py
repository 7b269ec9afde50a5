"""Settings of `lic train`."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lic.settings import check_lmbda, require
from lic.settings.evaluate import TrainingEvalConfig
from lic.settings.metrics import FeaturesConfig, MLCLIPSimConfig
from lic.settings.names import (
    LEARNING_RATES,
    TRAINER_FURTHER,
    TRAINER_TAKEN,
    AnyCodecName,
    DataName,
    DistortionName,
    FlipsName,
    GuestFile,
    OptimizerName,
    PrecisionName,
    ScheduleName,
    TrainedName,
)
from lic.settings.stages import Stages, stages
from lic.settings.tracking import WandbConfig


@dataclass(frozen=True)
class TrainerConfig:
    """What is handed to Lightning's Trainer."""

    max_steps: int = 2500
    """optimiser steps"""
    accelerator: str = "auto"
    """cpu, gpu, ..."""
    devices: int = 1
    """devices per node"""
    num_nodes: int = 1
    """machines"""
    precision: PrecisionName = "auto"
    """arithmetic of networks (entropy models: fp32); auto: bf16 on GPUs that have it and CPUs on which it is faster"""

    further: dict[str, Any] = field(default_factory=dict)
    """any other argument of Lightning's Trainer, as --trainer.accumulate_grad_batches 4, --trainer.strategy ddp"""

    @property
    def accumulated(self) -> int:
        """Batches per step."""
        number = self.further.get("accumulate_grad_batches", 1)
        require(isinstance(number, int) and number > 0,
                f"trainer.accumulate_grad_batches must be a positive whole number, got {number}")
        return int(number)

    def __post_init__(self) -> None:
        for name in self.further:
            require(name not in TRAINER_TAKEN, f"trainer.{name} is set here: {TRAINER_TAKEN.get(name)}")
            require(name in TRAINER_FURTHER, f"trainer.{name} is no argument of Lightning's Trainer")
        _ = self.accumulated
        require(self.max_steps > 0, f"trainer.max_steps must be positive, got {self.max_steps}")
        require(self.devices > 0, f"trainer.devices must be positive, got {self.devices}")
        require(self.num_nodes > 0, f"trainer.num_nodes must be positive, got {self.num_nodes}")


@dataclass(frozen=True)
class TrainConfig:
    """Train a codec: bpp + lmbda * scale * distortion."""

    lmbda: float | list[float] = 0.01
    """rate-distortion trade-off, on CompressAI's MSE grid 0.0018 .. 0.18; several for -vbr codecs and dcvc-uf-intra"""
    distortion: DistortionName | GuestFile = "mlclipsim"
    """what the reconstruction is judged by, or the Python file of one of your own (docs/extend.md)"""
    distortion_scale: float | str | None = None
    """what the distortion is multiplied with, a number or a file of `python -m lic calibrate`; default its own"""
    codec: AnyCodecName | GuestFile = "mbt2018-mean"
    """architecture, from stf on of a CompressAI after 1.2.8, or the Python file of one of your own (docs/extend.md)"""
    train: TrainedName = "codec"
    """codec, or decoder: the decoder of --init alone, which goes on reading that codec's streams (docs/train.md)"""
    num_channels: int | None = None
    """CompressAI's N; default as published, but 48 on the demo scenes"""
    num_latent_channels: int | None = None
    """CompressAI's M; default as published, but 64 on the demo scenes"""
    data: DataName = "scenes"
    """the embedded demo scenes, a folder of images, or shards of them"""
    data_root: str | None = None
    """the folder, or the shards as 'shards/{000000..000999}.tar', https:// and s3:// too"""
    crop_px: int | list[int | str] = 128
    """side of the training crops; 256 512@1200000: from step 1,200,000 on 512"""
    flips: FlipsName = "none"
    """mirror half of the crops"""
    min_scale: float = 1.0
    """shrink images by a random factor, down to this, before they are cropped"""
    batch_size: int = 4
    """crops per step and device"""
    num_workers: int = 1
    """processes that load images"""
    optimizer: OptimizerName = "soap"
    """adam, or of second order, with a fraction of its steps: soap, muon"""
    learning_rate: float | list[float | str] | None = None
    """peak; 1e-4 3e-5@2000000: from that step on another; default the optimizer's: adam 1e-3, soap 6e-3, muon 2e-2"""
    schedule: ScheduleName = "cosine"
    """cosine: down to a hundredth; steps: as --learning_rate says; plateau: halved after 20 passes of no lower loss"""
    aux_learning_rate: float = 1e-3
    """for the entropy bottleneck's quantiles"""
    clip_norm: float = 1.0
    """gradient clipping of the network's parameters"""
    skip_nonfinite: int = 0
    """leave out up to so many steps whose gradients are not finite; one more ends the training"""
    init: str | None = None
    """checkpoint (.safetensors, .ckpt) whose weights to start from, or compressai:QUALITY for its zoo's"""
    single_rate: float = 0.05
    """share of the steps trained at the grid's middle lmbda alone, before all of it (whole codecs of variable rate)"""
    warmup_mse: float = 0.15
    """share of the steps trained with mse first (whole codecs, any other distortion)"""
    anchor_mse: float = 0.1
    """weight of a pixel anchor, as a share of the mse loss (any other distortion)"""
    anchor_ms_ssim: float = 0.0
    """weight of a structural anchor, as a share of the ms-ssim loss (any other distortion)"""
    ema_decay: float = 0.0
    """0: none; else evaluate an exponential moving average"""
    checkpoint_every: int = 500
    """steps from one last.ckpt to the next"""
    keep_checkpoints: int = 0
    """also keep the latest so many as step-N.ckpt"""
    seed: int = 0
    """of weights, crops and noise"""
    label: str | None = None
    """what curves call it; default the distortion"""
    output: str = "runs"
    """folder that gets a folder for each run"""
    name: str | None = None
    """the run's folder and W&B name; default made of codec, label or distortion, lmbda"""
    resume: str | None = None
    """continue a run from its last.ckpt"""
    eval: TrainingEvalConfig = TrainingEvalConfig()
    """what judges the codec; default the demo scenes' tasks, or the held-out images of --data_root without tasks"""
    wandb: WandbConfig = WandbConfig()
    """W&B"""
    mlclipsim: MLCLIPSimConfig = MLCLIPSimConfig()
    """the metric"""
    features: FeaturesConfig = FeaturesConfig()
    """for --distortion features"""
    trainer: TrainerConfig = TrainerConfig()
    """Lightning"""

    def __post_init__(self) -> None:
        require(self.skip_nonfinite >= 0, f"skip_nonfinite must not be negative, got {self.skip_nonfinite}")
        for lmbda in self.lmbdas:
            check_lmbda(lmbda)
        require(len(self.lmbdas) > 0 and len(set(self.lmbdas)) == len(self.lmbdas),
                f"lmbda must be one or more different numbers, got {self.lmbdas}")
        require(len(self.lmbdas) == 1 or self.codec.endswith(("-vbr", "dcvc-uf-intra", ".py")),
                f"{self.codec} has one rate: give one --lmbda, or --codec mbt2018-mean-vbr or its like")
        require(len(self.rate_stages) <= 1 or self.schedule == "steps",
                "several values of --learning_rate go with --schedule steps")
        require(all(value == int(value) for _, value in self.crop_stages), f"crop_px is in pixels, got {self.crop_px}")
        require(0 < self.min_scale <= 1, f"min_scale must be above 0 and at most 1, got {self.min_scale}")
        require(self.keep_checkpoints >= 0, f"keep_checkpoints must not be negative, got {self.keep_checkpoints}")
        for name in ("num_channels", "num_latent_channels", "batch_size", "clip_norm", "checkpoint_every"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} must be positive, got {value}")
        require(0 <= self.single_rate <= 1, f"single_rate is a share of the steps, 0 .. 1, got {self.single_rate}")
        require(0 <= self.warmup_mse <= 1, f"warmup_mse is a share of the steps, 0 .. 1, got {self.warmup_mse}")
        require(min(self.anchor_mse, self.anchor_ms_ssim) >= 0,
                f"anchor_mse and anchor_ms_ssim must not be negative, got {self.anchor_mse}, {self.anchor_ms_ssim}")
        require(0 <= self.ema_decay < 1, f"ema_decay must be in 0 .. 1, got {self.ema_decay}")
        require(self.label is None or re.fullmatch(r"[A-Za-z0-9][\w .+-]{0,63}", self.label, re.ASCII) is not None,
                f"label must be at most 64 letters, digits, blanks, . + - or _, got '{self.label}'")
        require(self.name is None or (Path(self.name).name == self.name != ".." and self.name.isprintable()),
                f"name is that of a folder in --output, got '{self.name}'")
        require(self.num_workers >= 0, f"num_workers must not be negative, got {self.num_workers}")
        require(self.train == "codec" or (self.init or "").endswith(".safetensors"),
                "--train decoder starts from a codec whose streams it shall read: give --init its .safetensors file, "
                f"got {self.init}")
        if self.data != "scenes":
            require(self.data_root is not None, f"--data {self.data} needs --data_root, where the images are")
            require(self.eval.task is None or self.eval.data_root is not None,
                    "--eval.task needs --eval.data_root, the folder with labelled images; without either, the held-out "
                    "images of --data_root are coded and no task judges them")
        else:
            require(self.data_root is None, "--data_root goes with --data folder or webdataset, not with --data scenes")

    @property
    def crop_stages(self) -> Stages:
        """Side of the crops from each step on."""
        return stages("crop_px", self.crop_px)

    @property
    def rate_stages(self) -> Stages:
        """Learning rate of the weights from each step on."""
        default = LEARNING_RATES[self.optimizer]
        return stages("learning_rate", default if self.learning_rate is None else self.learning_rate)

    @property
    def lmbdas(self) -> list[float]:
        """The operating points: one, or a variable-rate codec's grid."""
        return self.lmbda if isinstance(self.lmbda, list) else [self.lmbda]
