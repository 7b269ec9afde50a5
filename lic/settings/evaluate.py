"""Settings of `lic eval`."""

from dataclasses import dataclass, field
from typing import get_args

from lic.settings import require
from lic.settings.metrics import MLCLIPSimConfig
from lic.settings.names import (
    DEFAULT_METRICS,
    BaselineName,
    GuestFile,
    HarnessName,
    MetricName,
    ProgramName,
    ProtocolName,
    TaskName,
)
from lic.settings.tracking import WandbConfig


@dataclass(frozen=True)
class JudgeConfig:
    """What judges decoded images, during a training and in `lic eval` alike."""

    task: list[TaskName | GuestFile] | None = None
    """tasks; default imagenet-cls, coco-det, voc-seg on the demo scenes, none on a folder of photographs"""
    network: list[str] | None = None
    """of torchvision, timm, onnx:FILE.onnx, timm:FILE.safetensors, hf:NAME, demo:vit; each judges what it fits"""
    network_weights: list[str] | None = None
    """local weights, one file for each network ('-': its published ones)"""
    data_root: str | None = None
    """ImageNet, COCO or VOC (as the task asks), or with no task any folder of images; default the demo scenes"""
    metric: list[MetricName | GuestFile] = field(default_factory=lambda: [*DEFAULT_METRICS])
    """measured of each reconstruction (python -m lic metrics), or Python files of your own (docs/extend.md)"""
    baseline: list[BaselineName] = field(default_factory=lambda: ["jpeg", "webp"])
    """codecs to compare with"""
    limit: int | None = None
    """use only so many images of each task: a fixed subset, the smallest SHA-256 of their names"""
    protocol: ProtocolName = "file"
    """what is coded of a file, as published papers do it (docs/evaluate.md); rates of different ones do not compare"""

    def __post_init__(self) -> None:
        require(self.task is None or len(self.task) > 0, "task is an empty list; name at least one, such as coco-det")
        require(self.limit is None or self.limit > 0, f"limit must be positive, got {self.limit}")
        require(self.network_weights is None or len(self.network_weights) == len(self.network or []),
                "network_weights takes one file for each network ('-' for its published weights)")


@dataclass(frozen=True)
class EvalConfig(JudgeConfig):
    """Code images to real bytes, decode them, and let task networks judge."""

    checkpoint: list[str] | None = None
    """files, globs or run folders; default the pair that ships, of photographs or of demo scenes; [] for none"""
    codec: list[GuestFile] | None = None
    """Python files of codecs of your own, for checkpoints of theirs (docs/extend.md)"""
    lmbda: list[float] | None = None
    """operating points of variable-rate codecs, anywhere in their range; default their grid"""
    vtm_path: str | None = None
    """folder of VTM's EncoderAppStatic and DecoderAppStatic, for --baseline vtm and vtm-scaled"""
    vtm_config: str | None = None
    """VTM's encoder_intra_vtm.cfg"""
    hm_path: str | None = None
    """folder of HM's TAppEncoderStatic and TAppDecoderStatic, for --baseline hm"""
    hm_config: str | None = None
    """HM's encoder_intra_main_rext.cfg"""
    bpg_path: str | None = None
    """folder of bpgenc and bpgdec, for --baseline bpg; default where the shell finds them"""
    vvenc_path: str | None = None
    """folder of vvencapp and vvdecapp, for --baseline vvenc; default where the shell finds them"""
    output: str = "runs/eval"
    """folder for results JSON and figure"""
    tile: int | None = None
    """side in px of the tiles in which codecs transform large images, to bound memory; a multiple of 64"""
    save_images: bool = False
    """write the decoded images too"""
    export: list[str] | None = None
    """lmudata FOLDER or lmms-eval FOLDER: the decoded pictures with their questions, for VLMEvalKit or lmms-eval"""
    device: str = "auto"
    """cpu, cuda, ..."""
    wandb: WandbConfig = WandbConfig()
    """W&B"""
    mlclipsim: MLCLIPSimConfig = MLCLIPSimConfig()
    """for --metric mlclipsim"""

    def __post_init__(self) -> None:
        super().__post_init__()
        harnesses = get_args(HarnessName)
        require(self.export is None or (len(self.export) == 2 and self.export[0] in harnesses),
                f"export takes a harness and a folder ({' FOLDER or '.join(harnesses)} FOLDER), "
                f"got {' '.join(self.export or ['nothing'])}")
        require(self.tile is None or (self.tile > 0 and self.tile % 64 == 0),
                f"tile must be a multiple of 64, got {self.tile}")


@dataclass(frozen=True)
class TrainingEvalConfig(JudgeConfig):
    """What judges a training's validation images."""

    every_n_steps: int = 0
    """0: code the validation images and run the tasks at the end only"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.every_n_steps >= 0, f"eval.every_n_steps must be 0 or more, got {self.every_n_steps}")
        programs = ", ".join(name for name in self.baseline if name in get_args(ProgramName))
        require(not programs, f"eval.baseline {programs} takes programs of yours; compare with it by lic eval")
