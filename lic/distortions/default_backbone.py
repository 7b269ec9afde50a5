"""The backbone where none is named: on photographs never the demo encoder, which has seen drawn shapes only."""

import dataclasses

from lic.settings.metrics import MetricsConfig

PUBLISHED = "open_clip:ViT-B-16-quickgelu/openai"
"""OpenAI's weights go with QuickGELU."""


def with_backbones(config: MetricsConfig, is_demo: bool) -> MetricsConfig:
    """Return the settings with the backbones of ML-CLIPSim and of the feature distance named.

    Args:
        config: what is named stays.
        is_demo: whether the images are the demo scenes: there the embedded encoder is the default, elsewhere the
            published one.
    """
    default = "demo" if is_demo else PUBLISHED
    mlclipsim, features = config.mlclipsim, config.features
    if mlclipsim.backbone is None and mlclipsim.fitted is None:
        mlclipsim = dataclasses.replace(mlclipsim, backbone=default)
    if features.backbone is None and features.preset == "lic":
        features = dataclasses.replace(features, backbone=default)
    return dataclasses.replace(config, mlclipsim=mlclipsim, features=features)
