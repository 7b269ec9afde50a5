"""Distance of two images inside a frozen foundation model (Ghildyal et al., ICASSP 2025, arXiv 2409.07650).

    D(x, y) = mean_windows reduce_layers distance(h_l(x), h_l(y)),    h_l: the tokens after layer l

Two presets:

    zs-iqa  the paper's as its code runs it (abhijay9/ZS-IQA, commit 1d8c1ce, BSD-2-Clause): OpenAI's CLIP ViT-B/32,
            all 12 layers, cosine distance summed over them, windows of 224 px every 200 px. As in the code, images are
            not normalised as CLIP was trained, and the class token is compared like a patch
    lic     ours: normalised, patch tokens only, mean over layers, windows side by side

Any setting may be changed on top of a preset: `--features.preset zs-iqa --features.backbone
timm:vit_base_patch16_224.dino --features.distance l2` is the paper's DINO. Not reproduced: half precision.

As a training loss it clamps and shifts as ML-CLIPSim does, for the same reasons (lic/distortions/looking.py).
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lic.backbones.features import Backbone, load_backbone
from lic.distortions.card import DistortionCard, Measure
from lic.distortions.default_backbone import PUBLISHED
from lic.distortions.feature_distances import DIFFERENTIABLE, feature_distances
from lic.distortions.looking import clamp_unit, shift, windows
from lic.distortions.pair import check_sizes
from lic.settings.metrics import FeaturesConfig, MetricsConfig
from lic.settings.names import FeatureDistance, FeaturesPreset

PRESETS: dict[FeaturesPreset, FeaturesConfig] = {
    "lic": FeaturesConfig("lic", PUBLISHED, distance="cos", reduction="mean", normalise=True, class_token=False),
    "zs-iqa": FeaturesConfig(
        "zs-iqa", "open_clip:ViT-B-32-quickgelu/openai", distance="cos", reduction="sum", normalise=False,
        class_token=True, stride_px=200,
    ),
}  # fmt: skip


SCALES: dict[FeatureDistance, float] = {"cos": 1300.0, "l2": 40.0, "swd": 0.07}
"""cos with the demo CLIP is calibrated (`python -m lic calibrate`). With the others, and the first demo CLIP, distances
of reconstructions were about 1000 (1 - ML-CLIPSim) on 24 scenes; no rates were compared. l2 and swd go with the size of
a backbone's features: for another, find a lmbda of your own."""


class FeatureDistortion(nn.Module):
    """Distance between reconstruction and image, 0 for identical images; lower is better.

        build_features(FeaturesConfig())(reconstruction, image)  # -> (N,)

    Attributes:
        distance: its name; differentiable if it is one of `DIFFERENTIABLE`.
    """

    def __init__(self, backbone: Backbone, settings: FeaturesConfig) -> None:
        super().__init__()
        self.backbone, self.settings = backbone, settings
        self.layers = sorted(set(range(backbone.num_layers) if settings.layers is None else settings.layers))
        backbone.check_layers(self.layers)
        self.distance: FeatureDistance = settings.distance or "cos"
        self.stride_px = settings.stride_px or backbone.input_px

    @property
    def is_differentiable(self) -> bool:
        """Whether the distance has a finite gradient everywhere."""
        return self.distance in DIFFERENTIABLE

    @property
    def scale(self) -> float:
        """What a training multiplies it with; see `SCALES`."""
        is_summed = self.settings.reduction == "sum" and self.distance != "swd"  # swd takes all layers at once
        return SCALES[self.distance] / (len(self.layers) if is_summed else 1)

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the distances, (N,).

        Args:
            reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
            image: (N, 3, H, W), RGB in [0, 1].

        Raises:
            ValueError: they differ in size.
        """
        check_sizes(reconstruction, image)
        if self.training:
            reconstruction, image = shift(clamp_unit(reconstruction), image, self.backbone.patch_px)
        return self.distance_to(reconstruction, self.see(image))

    def see(self, image: Tensor) -> list[Tensor]:
        """Return the features of undistorted images, without gradient, for `distance_to`."""
        with torch.no_grad():
            return self._features(image)

    def distance_to(self, reconstruction: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """Return the distances, (N,), to what `see` made of their originals, or of the one original of all."""
        features = self._features(clamp_unit(reconstruction))
        of_layers = torch.stack(feature_distances(self.distance, features, seen))
        by_window = of_layers.sum(0) if self.settings.reduction == "sum" else of_layers.mean(0)
        return by_window.mean(1)

    def _features(self, image: Tensor) -> list[Tensor]:
        """Return the tokens of images by layer, (N, windows, L, C), at least float32."""
        crops = windows(image, self.backbone.input_px, self.stride_px)
        features = self.backbone(crops, self.layers, normalise=bool(self.settings.normalise))
        pairs = zip(features.patches, features.extra, strict=True)
        tokens = [torch.cat([extra, patches], 1) if self.settings.class_token else patches for patches, extra in pairs]
        exact = [one if one.dtype == torch.float64 else one.float() for one in tokens]
        return [one.unflatten(0, (len(image), -1)) for one in exact]


def build_features(config: FeaturesConfig) -> FeatureDistortion:
    """Return the distance that the settings describe, in eval mode.

    Raises:
        ValueError: in one line: a backbone, layer or size that there is not; weights that cannot be had.
    """
    given = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = dataclasses.replace(PRESETS[config.preset], **chosen)
    backbone = load_backbone(str(settings.backbone), settings.window_px)
    return FeatureDistortion(backbone, settings).eval()


def _build(config: MetricsConfig) -> Measure:
    distance = build_features(config.features)
    if not distance.is_differentiable:
        raise ValueError(f"the distance '{distance.distance}' has no gradient at identical images; "
                         "train on cos, l2 or swd")  # fmt: skip
    return distance


CARD = DistortionCard("features", SCALES["cos"], _build)
