"""Metrics by their name on the command line."""

import dataclasses
from pathlib import Path
from typing import get_args

from torch import Tensor

from lic.backbones.clip import ClipFeatures
from lic.cli import unknown
from lic.config import MetricName, MetricsConfig
from lic.distortions import MLCLIPSim, build_mlclipsim
from lic.metrics.cards import CARDS
from lic.metrics.clipiqa import build_clipiqa
from lic.metrics.features import build_features_metric
from lic.metrics.fidelity import ms_ssim, psnr_db
from lic.metrics.maclip import build_maclip
from lic.metrics.metric import Card, Metric


def build_metric(spec: str, config: MetricsConfig) -> Metric:
    """Return a metric, frozen and in eval mode.

    Args:
        spec: its name, or NAME:ARGUMENT where a metric takes one (`mlclipsim:weights.json`).
        config: the settings of those that have any.

    Raises:
        ValueError: in one line: unknown name; weights that cannot be had, with file, size and the place to put it.
    """
    name, _, argument = spec.partition(":")
    match name:
        case "psnr":
            return _Psnr(CARDS["psnr"])
        case "ms-ssim":
            return _MsSsim(CARDS["ms-ssim"])
        case "mlclipsim":
            fitted = dataclasses.replace(config.mlclipsim, fitted=argument) if argument else config.mlclipsim
            return _MLCLIPSim(CARDS["mlclipsim"], build_mlclipsim(fitted), argument)
        case "features":
            return build_features_metric(argument, config.features)
        case "maclip":
            return build_maclip(argument, config.maclip)
        case "clipiqa":
            return build_clipiqa(config.clipiqa)
    raise ValueError(unknown("metric", name, get_args(MetricName)))


class _Psnr(Metric):
    def measure(self, image: Tensor, seen: Tensor) -> Tensor:
        return psnr_db(image, seen)


class _MsSsim(Metric):
    def measure(self, image: Tensor, seen: Tensor) -> Tensor:
        return ms_ssim(image, seen.expand_as(image))


class _MLCLIPSim(Metric):
    def __init__(self, card: Card, similarity: MLCLIPSim, variant: str) -> None:
        super().__init__(card, f"{card.title} ({Path(variant).stem})" if variant else None)
        self.similarity = similarity

    def prepare(self, reference: Tensor | None) -> ClipFeatures:
        return self.similarity.see(_required(reference))

    def measure(self, image: Tensor, seen: ClipFeatures) -> Tensor:
        return 1 - self.similarity.distance_to(image, seen)


def _required(reference: Tensor | None) -> Tensor:
    assert reference is not None, "a full-reference metric needs the reference"
    return reference
