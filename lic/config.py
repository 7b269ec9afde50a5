"""Every setting of training and evaluation, as frozen dataclasses.

The docstring under a field is its `--help` text. This module imports no torch, so that `--help` answers at once.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

CodecName = Literal[
    "bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018",
    "cheng2020-anchor", "cheng2020-attn", "cheng2020-anchor-checkerboard",
    "elic2022-official", "elic2022-chandelier", "mlicpp",
    "bmshj2018-hyperprior-vbr", "mbt2018-mean-vbr", "mbt2018-vbr",
]  # fmt: skip
DistortionName = Literal[
    "mse", "ssim", "ms-ssim", "lpips", "dists", "fsim", "gmsd", "vif", "mlclipsim", "features",
]  # fmt: skip
MetricName = Literal[
    "psnr", "ssim", "ms-ssim", "lpips", "dists", "fsim", "gmsd", "vif", "mlclipsim", "features", "maclip", "clipiqa",
]  # fmt: skip
FeatureDistance = Literal["cos", "l2", "swd", "wsd", "jsd", "skld"]
FeaturesPreset = Literal["lic", "zs-iqa"]
MACLIPPreset = Literal["code", "paper"]
DataName = Literal["scenes", "folder"]
TaskName = Literal[
    "imagenet-cls", "folder-cls", "coco-det", "voc-det", "coco-seg", "coco-semseg", "voc-seg", "camvid-seg",
    "consistency",
]  # fmt: skip
BaselineName = Literal["jpeg", "webp", "avif", "jpeg2000", "vtm", "hm", "bpg"]
OptimizerName = Literal["adam", "soap", "muon"]
PrecisionName = Literal["auto", "32-true", "bf16-mixed"]
WandbMode = Literal["auto", "online", "offline", "disabled"]

LEARNING_RATES: dict[OptimizerName, float] = {"adam": 1e-3, "soap": 6e-3, "muon": 2e-2}
"""Peaks by default."""


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
    """layers compared; default four, evenly spaced, the last included (demo: 0, 1, 2, without the embedding)"""
    weights: list[float] | None = None
    """one per layer, then the global embedding's; default all equal"""
    input_px: int | None = None
    """side of the tiles that the encoder sees; default its own"""
    fitted: str | None = None
    """JSON of `python -m lic preferences fit`: its encoder, layers and weights instead of those above"""

    def __post_init__(self) -> None:
        require(self.input_px is None or self.input_px > 0, f"input_px must be positive, got {self.input_px}")


@dataclass(frozen=True)
class FeaturesConfig:
    """How the foundation-feature distance looks at images (lic/distortions/features.py)."""

    preset: FeaturesPreset = "lic"
    """what the settings below are unless given: ours, or those of Ghildyal et al. 2025"""
    backbone: str | None = None
    """demo, open_clip:MODEL/TAG, timm:NAME, timm:FILE.safetensors, torchvision:NAME; NAME/FILE: local weights"""
    layers: list[int] | None = None
    """layers compared; default all"""
    distance: FeatureDistance | None = None
    """between the features; cos, l2 and swd can be trained against"""
    reduction: Literal["mean", "sum"] | None = None
    """over the layers"""
    normalise: bool | None = None
    """bring images to the mean and deviation that the backbone was trained on"""
    class_token: bool | None = None
    """compare class and register tokens too, where a transformer has any"""
    window_px: int | None = None
    """side of the windows that the backbone sees; default its own input"""
    stride_px: int | None = None
    """from window to window; default ours: the window's side"""

    def __post_init__(self) -> None:
        for name in ("window_px", "stride_px"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} must be positive, got {value}")
        require(self.layers is None or len(self.layers) > 0, "layers is an empty list; name at least one")


@dataclass(frozen=True)
class MACLIPConfig:
    """How MA-CLIP looks at images (lic/metrics/maclip.py)."""

    preset: MACLIPPreset = "code"
    """prompts: the public code's five pairs, or the paper's one"""
    pretrained: str = "openai"
    """weights: an open_clip tag, or a local file"""
    encoder: str = "RN50-quickgelu"
    """open_clip model name"""


@dataclass(frozen=True)
class CLIPIQAConfig:
    """How CLIP-IQA looks at images (lic/metrics/clipiqa.py)."""

    pretrained: str = "openai"
    """weights: an open_clip tag, or a local file"""
    encoder: str = "RN50-quickgelu"
    """open_clip model name"""


@dataclass(frozen=True)
class MetricsConfig:
    """Settings of the metrics that have any."""

    mlclipsim: MLCLIPSimConfig = MLCLIPSimConfig()
    """ML-CLIPSim"""
    features: FeaturesConfig = FeaturesConfig()
    """distance of foundation features"""
    maclip: MACLIPConfig = MACLIPConfig()
    """MA-CLIP"""
    clipiqa: CLIPIQAConfig = CLIPIQAConfig()
    """CLIP-IQA"""


@dataclass(frozen=True)
class TrainerConfig:
    """What is handed to Lightning's Trainer unchanged."""

    max_steps: int = 2000
    """optimiser steps"""
    accelerator: str = "auto"
    """cpu, gpu, ..."""
    devices: int = 1
    """devices per node"""
    num_nodes: int = 1
    """machines"""
    precision: PrecisionName = "auto"
    """arithmetic of networks (entropy models: fp32); auto: bf16 on GPUs that have it and CPUs on which it is faster"""

    def __post_init__(self) -> None:
        require(self.max_steps > 0, f"trainer.max_steps must be positive, got {self.max_steps}")
        require(self.devices > 0, f"trainer.devices must be positive, got {self.devices}")
        require(self.num_nodes > 0, f"trainer.num_nodes must be positive, got {self.num_nodes}")


@dataclass(frozen=True)
class TrainConfig:
    """Train a codec: bpp + lmbda * scale * distortion."""

    lmbda: float | list[float] = 0.01
    """rate-distortion trade-off, on CompressAI's MSE grid 0.0018 .. 0.18; several for a variable-rate codec (-vbr)"""
    distortion: DistortionName = "mlclipsim"
    """what the reconstruction is judged by"""
    codec: CodecName = "mbt2018-mean"
    """architecture"""
    num_channels: int | None = None
    """CompressAI's N; default as published, but 48 on the demo scenes"""
    num_latent_channels: int | None = None
    """CompressAI's M; default as published, but 64 on the demo scenes"""
    data: DataName = "scenes"
    """the embedded demo scenes, or a folder of images"""
    data_root: str | None = None
    """the folder for --data folder"""
    crop_px: int = 128
    """side of the training crops"""
    batch_size: int = 4
    """crops per step and device"""
    num_workers: int = 1
    """processes that load images"""
    optimizer: OptimizerName = "soap"
    """adam, or of second order, with a fraction of its steps: soap, muon"""
    learning_rate: float | None = None
    """peak, cosine to a hundredth of it; default the optimizer's: adam 1e-3, soap 6e-3, muon 2e-2"""
    aux_learning_rate: float = 1e-3
    """for the entropy bottleneck's quantiles"""
    clip_norm: float = 1.0
    """gradient clipping of the network's parameters"""
    init: str | None = None
    """checkpoint (.safetensors, .ckpt) whose weights to start from, or compressai:QUALITY for its zoo's"""
    single_rate: float = 0.05
    """share of the steps trained at the grid's middle lmbda alone, before all of it (variable-rate codecs only)"""
    warmup_mse: float = 0.15
    """share of the steps trained with mse first (any other distortion)"""
    anchor_mse: float = 0.1
    """weight of a pixel anchor, as a share of the mse loss (any other distortion)"""
    ema_decay: float = 0.0
    """0: none; else evaluate an exponential moving average"""
    seed: int = 0
    """of weights, crops and noise"""
    label: str | None = None
    """what curves call it; default the distortion"""
    task: list[TaskName] = field(default_factory=lambda: ["imagenet-cls", "coco-det", "voc-seg"])
    """tasks run on the decoded validation images (demo scenes only)"""
    eval_every_n_epochs: int = 0
    """0: code the validation images and run the tasks at the end only"""
    limit: int | None = None
    """use only the first so many validation images"""
    output: str = "runs"
    """folder that gets a folder for each run"""
    name: str | None = None
    """the run's folder and W&B name; default made of codec, label or distortion, lmbda"""
    resume: str | None = None
    """continue a run from its last.ckpt"""
    wandb: WandbMode = "auto"
    """auto: online with a key, else offline"""
    mlclipsim: MLCLIPSimConfig = MLCLIPSimConfig()
    """the metric"""
    features: FeaturesConfig = FeaturesConfig()
    """for --distortion features"""
    trainer: TrainerConfig = TrainerConfig()
    """Lightning"""

    def __post_init__(self) -> None:
        for lmbda in self.lmbdas:
            require(0 < lmbda < 1e4, f"lmbda must be positive, got {lmbda:g}; usual are 0.0018 .. 0.18")
        require(len(self.lmbdas) > 0 and len(set(self.lmbdas)) == len(self.lmbdas),
                f"lmbda must be one or more different numbers, got {self.lmbdas}")
        require(len(self.lmbdas) == 1 or self.codec.endswith("-vbr"),
                f"{self.codec} has one rate: give one --lmbda, or --codec mbt2018-mean-vbr or its like")
        require(self.eval_every_n_epochs >= 0, f"eval_every_n_epochs must be 0 or more, got {self.eval_every_n_epochs}")
        for name in ("num_channels", "num_latent_channels", "crop_px", "batch_size", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} must be positive, got {value}")
        require(0 <= self.single_rate <= 1, f"single_rate is a share of the steps, 0 .. 1, got {self.single_rate}")
        require(0 <= self.warmup_mse <= 1, f"warmup_mse is a share of the steps, 0 .. 1, got {self.warmup_mse}")
        require(self.anchor_mse >= 0, f"anchor_mse must not be negative, got {self.anchor_mse}")
        require(0 <= self.ema_decay < 1, f"ema_decay must be in 0 .. 1, got {self.ema_decay}")
        require(self.label is None or re.fullmatch(r"[A-Za-z0-9][\w .+-]{0,63}", self.label, re.ASCII) is not None,
                f"label must be at most 64 letters, digits, blanks, . + - or _, got '{self.label}'")
        require(self.limit is None or self.limit > 0, f"limit must be positive, got {self.limit}")
        require(self.num_workers >= 0, f"num_workers must not be negative, got {self.num_workers}")
        require(len(self.task) > 0, "task is an empty list; name at least one, such as --task coco-det")
        if self.data == "folder":
            require(self.data_root is not None, "--data folder needs --data_root, the folder with the images")
        else:
            require(self.data_root is None, f"--data_root goes with --data folder, not with --data {self.data}")

    @property
    def lmbdas(self) -> list[float]:
        """The operating points: one, or a variable-rate codec's grid."""
        return self.lmbda if isinstance(self.lmbda, list) else [self.lmbda]


@dataclass(frozen=True)
class CalibrateConfig:
    """Find the scales by which one lmbda gives the same bits per pixel whatever the distortion."""

    distortion: list[DistortionName] = field(
        default_factory=lambda: ["ms-ssim", "mlclipsim", "ssim", "fsim", "gmsd", "vif", "features"]
    )
    """whose scales to find; mse is what they are compared with"""
    init: str | None = None
    """variable-rate checkpoint trained for mse that every training starts from; default the shipped one"""
    rounds: int = 3
    """most trainings of a distortion"""
    seed: int = 0
    """of crops and noise"""
    output: str = "results/calibration"
    """-o: folder for a JSON file of each distortion; the same command goes on where they end"""
    trainer: TrainerConfig = TrainerConfig(max_steps=600)
    """Lightning"""

    def __post_init__(self) -> None:
        require(len(self.distortion) > 0, "distortion is an empty list; name at least one, such as ms-ssim")
        require("mse" not in self.distortion, "mse is what the others are compared with: its scale is 255^2, always")
        require(self.rounds > 0, f"rounds must be positive, got {self.rounds}")
        require(self.trainer.devices * self.trainer.num_nodes == 1, "calibrate trains on one device of one machine")


@dataclass(frozen=True)
class EvalConfig:
    """Code images to real bytes, decode them, and let task networks judge."""

    task: list[TaskName] | None = None
    """tasks; default all on the demo scenes, none on a folder of photographs"""
    network: list[str] | None = None
    """of torchvision or timm, onnx:FILE.onnx, timm:FILE.safetensors, demo:vit; each judges what it fits; default one"""
    network_weights: list[str] | None = None
    """local weights, one file for each --network ('-': its published ones)"""
    checkpoint: list[str] | None = None
    """files, globs or run folders; default those in checkpoints/demo/, [] for none"""
    lmbda: list[float] | None = None
    """operating points of variable-rate codecs, anywhere in their range; default their grid"""
    data_root: str | None = None
    """ImageNet, COCO or VOC (as the task asks), or with no task any folder of images; default the demo scenes"""
    baseline: list[BaselineName] = field(default_factory=lambda: ["jpeg", "webp"])
    """codecs to compare with"""
    vtm_path: str | None = None
    """folder of VTM's EncoderAppStatic and DecoderAppStatic, for --baseline vtm"""
    vtm_config: str | None = None
    """VTM's encoder_intra_vtm.cfg"""
    hm_path: str | None = None
    """folder of HM's TAppEncoderStatic and TAppDecoderStatic, for --baseline hm"""
    hm_config: str | None = None
    """HM's encoder_intra_main_rext.cfg"""
    bpg_path: str | None = None
    """folder of bpgenc and bpgdec, for --baseline bpg; default where the shell finds them"""
    limit: int | None = None
    """use only so many images of each task: a fixed subset, the smallest SHA-256 of their names"""
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
        require(self.network_weights is None or len(self.network_weights) == len(self.network or []),
                "--network_weights takes one file for each --network ('-' for its published weights)")


@dataclass(frozen=True)
class SweepConfig:
    """Run every combination of a W&B grid sweep on this machine."""

    inputs: list[str] = field(default_factory=list)
    """the sweep's YAML file (the flag may be left out: `sweep configs/sweeps/demo.yaml`)"""
    output: str | None = None
    """-o: folder that gets a folder and a log for each run; default runs/ and the file's name"""
    jobs: int = 1
    """runs at a time, each in a process with its share of the processor's threads"""

    def __post_init__(self) -> None:
        require(len(self.inputs) == 1, f"name one sweep file, such as configs/sweeps/demo.yaml; got {len(self.inputs)}")
        require(self.jobs > 0, f"jobs must be positive, got {self.jobs}")


@dataclass(frozen=True)
class EncodeConfig:
    """Code images to .lic streams."""

    inputs: list[str] = field(default_factory=list)
    """images, folders of them, or globs (the flag may be left out: `encode photo.png`)"""
    output: str | None = None
    """-o: a .lic file for one image, else a folder; default beside the image"""
    checkpoint: list[str] | None = None
    """codecs to choose from by --lmbda; default those shipped"""
    lmbda: float | None = None
    """operating point; larger is better and bigger; default 0.01, or the middle of the checkpoint's range"""
    tile: int | None = None
    """side in px of the tiles in which large images are coded, to bound memory; a multiple of 64"""
    jobs: int = 1
    """images at a time, each in a process with its share of the processor's threads"""
    device: str = "cpu"
    """cpu, cuda, ...; streams are decoded on the kind of device that coded them"""

    def __post_init__(self) -> None:
        _check_files(self.inputs, self.tile, self.jobs)
        require(self.lmbda is None or 0 < self.lmbda < 1e4, f"lmbda must be positive, got {self.lmbda}")


@dataclass(frozen=True)
class DecodeConfig:
    """Decode .lic streams to PNG images."""

    inputs: list[str] = field(default_factory=list)
    """.lic files, folders of them, or globs (the flag may be left out: `decode photo.lic`)"""
    output: str | None = None
    """-o: a .png file for one stream, else a folder; default beside the stream"""
    checkpoint: list[str] | None = None
    """files to look for the streams' codecs in, before those shipped"""
    max_pixels: int = 2**26
    """refuse larger images before anything is allocated"""
    tile: int | None = None
    """side in px of the tiles in which large images are decoded, to bound memory; a multiple of 64"""
    jobs: int = 1
    """images at a time, each in a process"""
    device: str = "cpu"
    """cpu, cuda, ...; the kind that coded the stream"""

    def __post_init__(self) -> None:
        _check_files(self.inputs, self.tile, self.jobs)
        require(self.max_pixels > 0, f"max_pixels must be positive, got {self.max_pixels}")


@dataclass(frozen=True)
class InfoConfig:
    """Show what .lic streams say of themselves."""

    inputs: list[str] = field(default_factory=list)
    """.lic files, folders of them, or globs (the flag may be left out: `info photo.lic`)"""
    checkpoint: list[str] | None = None
    """files to look for the streams' codecs in, before those shipped"""

    def __post_init__(self) -> None:
        _check_files(self.inputs, None, 1)


def _check_files(inputs: list[str], tile: int | None, jobs: int) -> None:
    require(len(inputs) > 0, "name at least one file, folder or glob (before lists such as --checkpoint)")
    require(tile is None or (tile > 0 and tile % 64 == 0), f"tile must be a multiple of 64, got {tile}")
    require(jobs > 0, f"jobs must be positive, got {jobs}")
