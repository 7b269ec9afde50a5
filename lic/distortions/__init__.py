"""Distortions: full-reference, differentiable, 0 = identical; each with the scale that lets one lmbda serve all."""

from lic.distortions import dists, features, fsim, gmsd, lpips, mlclipsim, ms_ssim, ssim, vif
from lic.distortions import mse as squared_error
from lic.distortions.card import Distortion, DistortionCard, Measure
from lic.distortions.default_backbone import with_backbones
from lic.distortions.dists import DISTS
from lic.distortions.features import FeatureDistortion, build_features
from lic.distortions.lpips import LPIPS
from lic.distortions.mlclipsim import MLCLIPSim, build_mlclipsim
from lic.distortions.mse import MSE_SCALE, mse
from lic.guests import content_digest, find_card
from lic.settings.metrics import MetricsConfig

__all__ = [
    "CARDS", "DISTS", "LPIPS", "MSE_SCALE", "Distortion", "DistortionCard", "FeatureDistortion", "MLCLIPSim", "Measure",
    "build_distortion", "build_features", "build_mlclipsim", "distortion_card", "mse", "with_backbones",
]  # fmt: skip

CARDS = (
    squared_error.CARD, ssim.CARD, ms_ssim.CARD, lpips.CARD, dists.CARD, fsim.CARD, gmsd.CARD, vif.CARD, mlclipsim.CARD,
    features.CARD,
)  # fmt: skip
"""The house's own."""


def distortion_card(name: str) -> DistortionCard:
    """Return the card of a distortion's name, or of a guest's file."""
    return find_card("distortion", name, CARDS, DistortionCard)


def build_distortion(name: str, config: MetricsConfig) -> Distortion:
    """Return a distortion by its name on the command line, or a guest's by its file.

    Raises:
        ValueError: in one line: no such distortion, or weights that cannot be had.
    """
    card = distortion_card(name)
    return Distortion(card.name, card.build(config), card.scale, content_digest(name))
