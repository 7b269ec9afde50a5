"""Metrics: measured, of any kind. Those that can be trained against are views of `lic.distortions`."""

from lic.guests import content_digest, find_card, is_guest
from lic.metrics import clipiqa, features, maclip, mlclipsim
from lic.metrics.compared import DISTS_CARD, FSIM, GMSD, LPIPS_CARD, MS_SSIM, PSNR, SSIM, VIF, Compared
from lic.metrics.fidelity import ms_ssim, psnr_db
from lic.metrics.metric import Metric, MetricCard
from lic.settings.metrics import MetricsConfig

__all__ = ["CARDS", "Compared", "Metric", "MetricCard", "build_metric", "metric_card", "ms_ssim", "psnr_db"]

CARDS = (
    PSNR, SSIM, MS_SSIM, LPIPS_CARD, DISTS_CARD, FSIM, GMSD, VIF, mlclipsim.CARD, features.CARD, maclip.CARD,
    clipiqa.CARD,
)  # fmt: skip
"""The house's own."""


def metric_card(spec: str) -> MetricCard:
    """Return the card of a metric's name, with or without an argument behind a colon, or of a guest's file."""
    return find_card("metric", spec if is_guest(spec) else spec.partition(":")[0], CARDS, MetricCard)


def build_metric(spec: str, config: MetricsConfig) -> Metric:
    """Return a metric, frozen and in eval mode.

    Args:
        spec: its name, or NAME:ARGUMENT where a metric takes one (`mlclipsim:fitted.json`, `lpips:vgg`); or a guest's
            file.
        config: the settings of those that have any.

    Raises:
        ValueError: in one line: unknown name; weights that cannot be had, with file, size and the place to put it.
    """
    card = metric_card(spec)
    argument = "" if is_guest(spec) else spec.partition(":")[2]
    if argument and not card.takes_argument:
        raise ValueError(f"metric '{card.name}' takes no argument, got '{spec}'")
    metric = card.build(argument, config).requires_grad_(False).eval()
    metric.code_sha256 = content_digest(spec)
    return metric
