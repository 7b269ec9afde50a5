"""Metrics by their name on the command line."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from torch import Tensor

from lic.cli import unknown
from lic.distortions import DISTS, LPIPS, MLCLIPSim, build_mlclipsim
from lic.distortions.fsim import fsim
from lic.distortions.gmsd import gmsd
from lic.distortions.mlclipsim import Seen
from lic.distortions.ssim import ssim
from lic.distortions.vif import vif
from lic.metrics.cards import CARDS
from lic.metrics.clipiqa import build_clipiqa
from lic.metrics.features import build_features_metric
from lic.metrics.fidelity import ms_ssim, psnr_db
from lic.metrics.maclip import build_maclip
from lic.metrics.metric import Card, Metric, check_images
from lic.settings.metrics import MetricsConfig
from lic.settings.names import MetricName

Compare = Callable[[Tensor, Tensor], Tensor]


def build_metric(spec: str, config: MetricsConfig) -> Metric:
    """Return a metric, frozen and in eval mode.

    Args:
        spec: its name, or NAME:ARGUMENT where a metric takes one (`mlclipsim:fitted.json`, `lpips:vgg`).
        config: the settings of those that have any.

    Raises:
        ValueError: in one line: unknown name; weights that cannot be had, with file, size and the place to put it.
    """
    return _build(spec, config).requires_grad_(False).eval()


def _build(spec: str, config: MetricsConfig) -> Metric:
    name, _, argument = spec.partition(":")
    match name:
        case "lpips":
            return _lpips(argument)
        case "mlclipsim":
            fitted = dataclasses.replace(config.mlclipsim, fitted=argument) if argument else config.mlclipsim
            return _MLCLIPSim(CARDS["mlclipsim"], build_mlclipsim(fitted), argument)
        case "features":
            return build_features_metric(argument, config.features)
        case "maclip":
            return build_maclip(argument, config.maclip)
    if name not in get_args(MetricName):
        raise ValueError(unknown("metric", name, get_args(MetricName)))
    if argument:
        raise ValueError(f"metric '{name}' takes no argument, got '{spec}'")
    match name:
        case "psnr":
            return _Compared(CARDS["psnr"], psnr_db)
        case "ssim":
            return _Compared(CARDS["ssim"], ssim)
        case "ms-ssim":
            return _Compared(CARDS["ms-ssim"], ms_ssim)
        case "dists":
            return _Compared(CARDS["dists"], DISTS())
        case "fsim":
            return _Compared(CARDS["fsim"], fsim)
        case "gmsd":
            return _Compared(CARDS["gmsd"], gmsd)
        case "vif":
            return _Compared(CARDS["vif"], vif)
        case "clipiqa":
            return build_clipiqa(config.clipiqa)
    raise AssertionError(f"metric '{name}' has a name and a card, but no branch")


def _lpips(trunk: str) -> Metric:
    match trunk:
        case "" | "alex":
            return _Compared(CARDS["lpips"], LPIPS("alex"))
        case "vgg":
            return _Compared(CARDS["lpips"], LPIPS("vgg"), "LPIPS (VGG16)")
    raise ValueError(unknown("trunk of lpips", trunk, ("alex", "vgg")))


class _Compared(Metric):
    """A metric that is a function of two images.

    Args:
        card: what it declares.
        compare: (N, 3, H, W) and (N, 3, H, W) or (1, 3, H, W) -> (N,); a module moves along with the metric.
        title: where the card's does not do.
    """

    def __init__(self, card: Card, compare: Compare, title: str | None = None) -> None:
        super().__init__(card, title)
        self.compare = compare

    def prepare(self, reference: Tensor | None) -> Tensor:
        return _required(reference)

    def measure(self, image: Tensor, seen: Tensor) -> Tensor:
        check_images(image, seen)
        return self.compare(image.float(), seen.float())


class _MLCLIPSim(Metric):
    def __init__(self, card: Card, similarity: MLCLIPSim, variant: str) -> None:
        super().__init__(card, f"{card.title} ({Path(variant).stem})" if variant else None)
        self.similarity = similarity

    def prepare(self, reference: Tensor | None) -> Seen:
        return self.similarity.see(_required(reference))

    def measure(self, image: Tensor, seen: Seen) -> Tensor:
        return 1 - self.similarity.distance_to(image, seen)


def _required(reference: Tensor | None) -> Tensor:
    if reference is None:
        raise ValueError("a full-reference metric needs the reference")
    return reference
