"""How metrics and distortions look at images."""

from dataclasses import dataclass
from typing import Literal

from lic.settings import require
from lic.settings.names import FeatureDistance, FeaturesPreset, MACLIPPreset


@dataclass(frozen=True)
class MLCLIPSimConfig:
    """How ML-CLIPSim looks at images (lic/distortions/mlclipsim.py)."""

    backbone: str | None = None
    """demo, photos (an ImageNet classifier that ships: no CLIP), open_clip:MODEL/TAG, timm:NAME, timm:FILE.safetensors,
    torchvision:NAME, onnx:FILE.onnx; default demo on the demo scenes, elsewhere open_clip:ViT-B-16-quickgelu/openai"""
    layers: list[int] | None = None
    """layers compared; default four, evenly spaced, the last included (demo: 0, 1, 2; photos: 0 to 3; no embedding)"""
    weights: list[float] | None = None
    """one per layer, then the global embedding's; default all equal"""
    input_px: int | None = None
    """side of the tiles that the backbone sees; default its own"""
    fitted: str | None = None
    """JSON of `python -m lic preferences fit`: its backbone, layers and weights instead of those above"""

    def __post_init__(self) -> None:
        require(self.input_px is None or self.input_px > 0, f"input_px must be positive, got {self.input_px}")


@dataclass(frozen=True)
class FeaturesConfig:
    """How the foundation-feature distance looks at images (lic/distortions/features.py)."""

    preset: FeaturesPreset = "lic"
    """what the settings below are unless given: ours, or those of Ghildyal et al. 2025"""
    backbone: str | None = None
    """demo, photos, open_clip:MODEL/TAG, timm:NAME, timm:FILE.safetensors, torchvision:NAME, onnx:FILE.onnx"""
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
