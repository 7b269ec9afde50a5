"""Settings of `lic eval`."""

from dataclasses import dataclass, field

from lic.settings import require
from lic.settings.metrics import MLCLIPSimConfig
from lic.settings.names import BaselineName, TaskName, WandbMode


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
