"""Metrics that are a function of two images; those that can be trained against are views of `lic.distortions`."""

from collections.abc import Callable
from math import inf
from pathlib import Path

from torch import Tensor

from lic.backbones.trunks import TrunkName, trunk_file, trunk_source
from lic.cli import unknown
from lic.distortions import DISTS, LPIPS
from lic.distortions.fsim import fsim
from lic.distortions.gmsd import gmsd
from lic.distortions.ssim import ssim
from lic.distortions.vif import vif
from lic.metrics.fidelity import ms_ssim, psnr_db
from lic.metrics.metric import Metric, MetricCard, check_images
from lic.settings.metrics import MetricsConfig

Compare = Callable[[Tensor, Tensor], Tensor]
"""(N, 3, H, W) and (N, 3, H, W) or (1, 3, H, W) -> (N,)."""


class Compared(Metric):
    """A metric that is a function of two images.

    Args:
        card: what it declares.
        compare: a module moves along with the metric.
        title: where the card's does not do.
    """

    def __init__(self, card: MetricCard, compare: Compare, title: str | None = None) -> None:
        super().__init__(card, title)
        self.compare = compare

    def prepare(self, reference: Tensor | None) -> Tensor:
        """Return the reference."""
        return required(reference)

    def measure(self, image: Tensor, seen: Tensor) -> Tensor:
        """Return the value of each image, (N,)."""
        check_images(image, seen)
        return self.compare(image.float(), seen.float())


def required(reference: Tensor | None) -> Tensor:
    """Return a reference, refusing that there is none."""
    if reference is None:
        raise ValueError("a full-reference metric needs the reference")
    return reference


def _lpips(trunk: str, _: MetricsConfig) -> Metric:
    match trunk:
        case "" | "alex":
            return Compared(LPIPS_CARD, LPIPS("alex"))
        case "vgg":
            return Compared(LPIPS_CARD, LPIPS("vgg"), "LPIPS (VGG16)")
    raise ValueError(unknown("trunk of lpips", trunk, ("alex", "vgg")))


def _locate(trunk: TrunkName) -> Callable[[], tuple[Path, str]]:
    return lambda: (trunk_file(trunk), trunk_source(trunk))


PSNR: MetricCard = MetricCard(
    "psnr", "PSNR", "full", "higher", lambda *_: Compared(PSNR, psnr_db), lowest=0, highest=100,
    is_differentiable=True, licence="Apache-2.0 (ours)", source="-",
)  # fmt: skip
SSIM: MetricCard = MetricCard(
    "ssim", "SSIM", "full", "higher", lambda *_: Compared(SSIM, ssim), lowest=-1, highest=1,
    is_differentiable=True, licence="MIT (pytorch-msssim)", source="Wang et al. 2004",
)  # fmt: skip
MS_SSIM: MetricCard = MetricCard(
    "ms-ssim", "MS-SSIM", "full", "higher", lambda *_: Compared(MS_SSIM, ms_ssim), lowest=0, highest=1,
    is_differentiable=True, licence="MIT (pytorch-msssim)", source="Wang et al. 2003",
)  # fmt: skip
LPIPS_CARD: MetricCard = MetricCard(
    "lpips", "LPIPS", "full", "lower", _lpips, takes_argument=True, lowest=0, highest=inf, is_differentiable=True,
    weights="AlexNet (lpips:vgg: VGG16) of torchvision, linear layers in torchmetrics", locate=_locate("alexnet"),
    licence="Apache-2.0, BSD", source="Zhang et al. 2018",
)  # fmt: skip
DISTS_CARD: MetricCard = MetricCard(
    "dists", "DISTS", "full", "lower", lambda *_: Compared(DISTS_CARD, DISTS()), lowest=0, highest=1,
    is_differentiable=True, weights="VGG16 of torchvision, alpha and beta in torchmetrics", locate=_locate("vgg16"),
    licence="Apache-2.0, MIT, BSD", source="Ding et al. 2020",
)  # fmt: skip
FSIM: MetricCard = MetricCard(
    "fsim", "FSIMc", "full", "higher", lambda *_: Compared(FSIM, fsim), lowest=0, highest=1,
    is_differentiable=True, licence="Apache-2.0 (after piq)", source="Zhang et al. 2011",
)  # fmt: skip
GMSD: MetricCard = MetricCard(
    "gmsd", "GMSD", "full", "lower", lambda *_: Compared(GMSD, gmsd), lowest=0, highest=0.5,
    is_differentiable=True, licence="Apache-2.0 (after piq)", source="Xue et al. 2014",
)  # fmt: skip
VIF: MetricCard = MetricCard(
    "vif", "VIF", "full", "higher", lambda *_: Compared(VIF, vif), lowest=0, highest=inf,
    is_differentiable=True, licence="Apache-2.0 (after piq)", source="Sheikh & Bovik 2006",
)  # fmt: skip
