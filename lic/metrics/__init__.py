"""Metrics: measured, of any kind. Those that can be trained against are views of `lic.distortions`."""

from lic.metrics.build import build_metric
from lic.metrics.fidelity import ms_ssim, psnr_db
from lic.metrics.metric import Card, Metric

__all__ = ["Card", "Metric", "build_metric", "ms_ssim", "psnr_db"]
