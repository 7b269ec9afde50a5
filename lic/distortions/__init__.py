"""Distortions: full-reference, differentiable, 0 = identical; each with the scale that lets one lmbda serve all."""

from collections.abc import Callable
from typing import assert_never

from torch import Tensor, nn

from lic.distortions.default_backbone import PUBLISHED, with_backbones
from lic.distortions.dists import DISTS
from lic.distortions.features import FeatureDistortion, build_features
from lic.distortions.fitted import read_fitted
from lic.distortions.fsim import fsim_distance
from lic.distortions.gmsd import gmsd
from lic.distortions.lpips import LPIPS
from lic.distortions.mlclipsim import MLCLIPSim
from lic.distortions.ms_ssim import ms_ssim_distance
from lic.distortions.mse import mse
from lic.distortions.ssim import ssim_distance
from lic.distortions.vif import vif_distance
from lic.settings.metrics import MetricsConfig, MLCLIPSimConfig
from lic.settings.names import DistortionName

__all__ = [
    "DISTS", "LPIPS", "Distortion", "FeatureDistortion", "MLCLIPSim", "build_distortion", "build_features",
    "build_mlclipsim", "mse", "with_backbones",
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
# Calibrated on the demo scenes with `python -m lic calibrate` (results/calibration): from 600 steps of fine-tuning come
# the bits per pixel of mse within 15 % at lmbda 0.0018 to 0.09. mlclipsim: with the demo encoder.
MLCLIPSIM_SCALE = 920.0
MS_SSIM_SCALE = 600.0
SSIM_SCALE = 380.0
FSIM_SCALE = 1450.0
GMSD_SCALE = 1200.0
VIF_SCALE = 250.0

# Not calibrated: the weight of LPIPS beside mse in HiFiC (Mentzer et al. 2020, https://arxiv.org/abs/2006.09965), about
# 2^5 / 0.075.
LPIPS_SCALE = 400.0
DISTS_SCALE = 400.0


def build_mlclipsim(config: MLCLIPSimConfig) -> MLCLIPSim:
    """Return the metric that the settings describe, in eval mode."""
    if config.fitted is not None:
        config = read_fitted(config)
    return MLCLIPSim.from_pretrained(config.backbone or PUBLISHED, config.layers, config.weights, config.input_px)


def build_distortion(name: DistortionName, config: MetricsConfig) -> Distortion:
    """Return a distortion by its name on the command line.

    Raises:
        ValueError: in one line: weights that cannot be had.
    """
    match name:
        case "mse":
            return Distortion(mse, MSE_SCALE, None)
        case "ssim":
            return Distortion(ssim_distance, SSIM_SCALE, None)
        case "ms-ssim":
            return Distortion(ms_ssim_distance, MS_SSIM_SCALE, None)
        case "fsim":
            return Distortion(fsim_distance, FSIM_SCALE, None)
        case "gmsd":
            return Distortion(gmsd, GMSD_SCALE, None)
        case "vif":
            return Distortion(vif_distance, VIF_SCALE, None)
        case "lpips":
            lpips = LPIPS()
            return Distortion(lpips, LPIPS_SCALE, lpips)
        case "dists":
            dists = DISTS()
            return Distortion(dists, DISTS_SCALE, dists)
        case "mlclipsim":
            metric = build_mlclipsim(config.mlclipsim)
            return Distortion(metric.distance, MLCLIPSIM_SCALE, metric)
        case "features":
            distance = build_features(config.features)
            if not distance.is_differentiable:
                raise ValueError(f"the distance '{distance.distance}' has no gradient at identical images; "
                                 "train on cos, l2 or swd")
            return Distortion(distance, distance.scale, distance)
        case _:
            assert_never(name)
