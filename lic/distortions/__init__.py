"""Distortions: full-reference, differentiable, 0 = identical; each with the scale that lets one lmbda serve all."""

from collections.abc import Callable

from torch import Tensor, nn

from lic.config import DistortionName, FeaturesConfig, MLCLIPSimConfig
from lic.distortions.features import FeatureDistortion, build_features
from lic.distortions.fitted import read_fitted
from lic.distortions.mlclipsim import MLCLIPSim
from lic.distortions.mse import mse

__all__ = [
    "Distortion", "FeatureDistortion", "MLCLIPSim", "build_distortion", "build_features", "build_mlclipsim", "mse",
]  # fmt: skip


class Distortion(nn.Module):
    """A distortion and its scale.

    Attributes:
        scale: what it is multiplied with, so that a value of `lmbda` on CompressAI's MSE grid asks for about the same
            bits per pixel whatever the distortion.
        metric: the module whose device and mode follow the training; None where there is none.
    """

    def __init__(self, measure: Callable[[Tensor, Tensor], Tensor], scale: float, metric: nn.Module | None) -> None:
        super().__init__()
        self.measure = measure
        self.scale = scale
        self.metric = metric

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the unscaled distortion of each image, (N,)."""
        return self.measure(reconstruction, image)


MSE_SCALE = 255.0**2  # CompressAI: the error in 8-bit steps
MLCLIPSIM_SCALE = 1000.0  # measured: docs/experiments.md, "Scale of ML-CLIPSim"


def build_mlclipsim(config: MLCLIPSimConfig) -> MLCLIPSim:
    """Return the metric that the settings describe, in eval mode."""
    if config.fitted is not None:
        config = read_fitted(config)
    return MLCLIPSim.from_pretrained(
        config.pretrained, config.encoder, config.layers, config.weights, config.input_px
    )


def build_distortion(
    name: DistortionName, config: MLCLIPSimConfig, features: FeaturesConfig | None = None
) -> Distortion:
    """Return a distortion by its name on the command line.

    Args:
        name: of the distortion.
        config: ML-CLIPSim's settings.
        features: the foundation-feature distance's.
    """
    match name:
        case "mse":
            return Distortion(mse, MSE_SCALE, None)
        case "mlclipsim":
            metric = build_mlclipsim(config)
            return Distortion(metric.distance, MLCLIPSIM_SCALE, metric)
        case "features":
            distance = build_features(features or FeaturesConfig())
            if not distance.is_differentiable:
                raise ValueError(f"the distance '{distance.distance}' has no gradient at identical images; "
                                 "train on cos, l2 or swd")
            return Distortion(distance, distance.scale, distance)
        case _:
            raise ValueError(f"distortion '{name}' is not built in yet")
