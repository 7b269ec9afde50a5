"""The foundation-feature distance of `lic.distortions` as a metric; lower is better."""

import dataclasses
from collections.abc import Sequence
from math import inf

from torch import Tensor

from lic.demo.networks import demo_folder
from lic.distortions import FeatureDistortion, build_features
from lic.distortions.default_backbone import PUBLISHED
from lic.distortions.features import PRESETS
from lic.metrics.metric import Metric, MetricCard
from lic.settings.metrics import FeaturesConfig


class Features(Metric):
    """Distance of images to their references, (N,), 0 = identical; see lic/distortions/features.py."""

    def __init__(self, distortion: FeatureDistortion, variant: str) -> None:
        card = dataclasses.replace(CARD, is_differentiable=distortion.is_differentiable)
        super().__init__(card, f"{card.title} ({variant})" if variant else None)
        self.distortion = distortion

    def prepare(self, reference: Tensor | None) -> list[Tensor]:
        """Return the references' features."""
        assert reference is not None, "a full-reference metric needs the reference"
        return self.distortion.see(reference)

    def measure(self, image: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """Return the distance of each image, (N,)."""
        return self.distortion.distance_to(image, seen)


def build_features_metric(variant: str, config: FeaturesConfig) -> Features:
    """Return the metric; `variant` is a preset, or a backbone, that replaces the settings'."""
    if variant in PRESETS:
        is_default = config.backbone in ("demo", PUBLISHED)  # named by with_backbones; this preset has its own
        config = dataclasses.replace(config, preset=variant, backbone=None if is_default else config.backbone)
    elif variant:
        config = dataclasses.replace(config, backbone=variant)
    return Features(build_features(config), variant)


CARD: MetricCard = MetricCard(
    "features", "Features", "full", "lower", lambda variant, config: build_features_metric(variant, config.features),
    takes_argument=True, lowest=0, highest=inf, is_differentiable=True,
    weights="checkpoints/demo/clip.safetensors, checkpoints/photos, or the backbone's: an open_clip tag, timm, "
            "torchvision, or a file",
    locate=lambda: (demo_folder() / "clip.safetensors", "python -m lic demo-networks clip"),
    licence="Apache-2.0 (ours; the backbone's own)", source="Ghildyal et al. 2025, arXiv 2409.07650",
)  # fmt: skip
