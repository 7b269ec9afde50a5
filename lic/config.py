"""Every setting of training and evaluation, as frozen dataclasses.

The docstring under a field is its `--help` text. This module imports no torch, so that `--help` answers at once.
"""

from dataclasses import dataclass, field
from typing import Literal

CodecName = Literal["bmshj2018-hyperprior", "mbt2018-mean"]
DistortionName = Literal["mse", "mlclipsim"]
DataName = Literal["scenes", "folder"]
TaskName = Literal["imagenet-cls", "coco-det", "voc-seg"]
BaselineName = Literal["jpeg", "webp"]
WandbMode = Literal["auto", "online", "offline", "disabled"]


def require(is_met: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition is met."""
    if not is_met:
        raise ValueError(message)


@dataclass(frozen=True)
class MLCLIPSimConfig:
    """How ML-CLIPSim looks at images (lic/distortions/mlclipsim.py)."""

    pretrained: str = "demo"
    """weights: 'demo', an open_clip tag, or a local file"""
    encoder: str = "ViT-B-16"
    """open_clip model name (unused by 'demo')"""
    layers: list[int] | None = None
    """layers compared; default four, evenly spaced, the last included"""
    weights: list[float] | None = None
    """one per layer, then the global embedding's; default all equal"""
    input_px: int | None = None
    """side of the tiles that the encoder sees; default its own"""

    def __post_init__(self) -> None:
        require(self.input_px is None or self.input_px > 0, f"input_px must be positive, got {self.input_px}")


@dataclass(frozen=True)
class TrainerConfig:
    """What is handed to Lightning's Trainer unchanged."""

    max_steps: int = 3000
    """optimiser steps"""
    accelerator: str = "auto"
    """cpu, gpu, ..."""
    devices: int = 1
    """devices per node"""
    num_nodes: int = 1
    """machines"""
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    """arithmetic of the networks; entropy models stay in fp32"""

    def __post_init__(self) -> None:
        require(self.max_steps > 0, f"trainer.max_steps must be positive, got {self.max_steps}")
        require(self.devices > 0, f"trainer.devices must be positive, got {self.devices}")
        require(self.num_nodes > 0, f"trainer.num_nodes must be positive, got {self.num_nodes}")


@dataclass(frozen=True)
class TrainConfig:
    """Train a codec: bpp + lmbda * scale * distortion."""

    lmbda: float = 0.01
    """rate-distortion trade-off, on CompressAI's MSE grid 0.0018 .. 0.18"""
    distortion: DistortionName = "mlclipsim"
    """what the reconstruction is judged by"""
    codec: CodecName = "mbt2018-mean"
    """CompressAI architecture"""
    num_channels: int = 48
    """CompressAI's N (published: 128 or 192)"""
    num_latent_channels: int = 64
    """CompressAI's M (published: 192 or 320)"""
    data: DataName = "scenes"
    """the embedded demo scenes, or a folder of images"""
    data_root: str | None = None
    """the folder for --data folder"""
    crop_px: int = 128
    """side of the training crops"""
    batch_size: int = 8
    """crops per step and device"""
    num_workers: int = 1
    """processes that load images"""
    learning_rate: float = 1e-3
    """peak, cosine to a hundredth of it"""
    aux_learning_rate: float = 1e-3
    """for the entropy bottleneck's quantiles"""
    clip_norm: float = 1.0
    """gradient clipping of the network's parameters"""
    init: str | None = None
    """checkpoint (.safetensors, .ckpt) whose weights to start from"""
    warmup_mse: float = 0.6
    """share of the steps trained with mse first (mlclipsim only)"""
    anchor_mse: float = 0.1
    """weight of a pixel anchor, as a share of the mse loss (mlclipsim only)"""
    ema_decay: float = 0.0
    """0: none; else evaluate an exponential moving average"""
    seed: int = 0
    """of weights, crops and noise"""
    task: list[TaskName] = field(default_factory=lambda: ["imagenet-cls", "coco-det", "voc-seg"])
    """tasks run on the decoded validation images (demo scenes only)"""
    eval_every_n_epochs: int = 0
    """0: code the validation images and run the tasks at the end only"""
    limit: int | None = None
    """use only the first so many validation images"""
    output: str = "runs"
    """folder that gets a folder for each run"""
    name: str | None = None
    """the run's folder and W&B name; default made of codec, distortion, lmbda"""
    resume: str | None = None
    """continue a run from its last.ckpt"""
    wandb: WandbMode = "auto"
    """auto: online with a key, else offline"""
    mlclipsim: MLCLIPSimConfig = MLCLIPSimConfig()
    """the metric"""
    trainer: TrainerConfig = TrainerConfig()
    """Lightning"""

    def __post_init__(self) -> None:
        require(0 < self.lmbda < 1e4, f"lmbda must be positive, got {self.lmbda:g}; usual are 0.0018 .. 0.18")
        require(self.eval_every_n_epochs >= 0, f"eval_every_n_epochs must be 0 or more, got {self.eval_every_n_epochs}")
        for name in ("num_channels", "num_latent_channels", "crop_px", "batch_size", "learning_rate", "clip_norm"):
            require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}")
        require(0 <= self.warmup_mse <= 1, f"warmup_mse is a share of the steps, 0 .. 1, got {self.warmup_mse}")
        require(self.anchor_mse >= 0, f"anchor_mse must not be negative, got {self.anchor_mse}")
        require(0 <= self.ema_decay < 1, f"ema_decay must be in 0 .. 1, got {self.ema_decay}")
        require(self.limit is None or self.limit > 0, f"limit must be positive, got {self.limit}")
        require(self.num_workers >= 0, f"num_workers must not be negative, got {self.num_workers}")
        require(len(self.task) > 0, "task is an empty list; name at least one, such as --task coco-det")
        if self.data == "folder":
            require(self.data_root is not None, "--data folder needs --data_root, the folder with the images")
        else:
            require(self.data_root is None, f"--data_root goes with --data folder, not with --data {self.data}")


@dataclass(frozen=True)
class EvalConfig:
    """Code images to real bytes, decode them, and let task networks judge."""

    task: list[TaskName] | None = None
    """tasks; default all on the demo scenes, none on a folder of photographs"""
    checkpoint: list[str] | None = None
    """files, globs or run folders; default those in checkpoints/demo/"""
    data_root: str | None = None
    """ImageNet, COCO or VOC (as the task asks), or with no task any folder of images; default the demo scenes"""
    baseline: list[BaselineName] = field(default_factory=lambda: ["jpeg", "webp"])
    """codecs to compare with"""
    limit: int | None = None
    """use only the first so many images"""
    output: str = "runs/eval"
    """folder for results JSON and figure"""
    save_images: bool = False
    """write the decoded images too"""
    device: str = "auto"
    """cpu, cuda, ..."""
    wandb: WandbMode = "auto"
    """auto: online with a key, else offline"""
    mlclipsim: MLCLIPSimConfig = MLCLIPSimConfig()
    """the metric"""

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit > 0, f"limit must be positive, got {self.limit}")
