"""Qualities that need no task: the metrics, as tables, figures and BD-rates show them."""

from typing import NamedTuple


class Quality(NamedTuple):
    """How a metric is shown."""

    label: str
    digits: int = 4
    """Decimals."""
    unit: str = ""
    is_lower_better: bool = False


_KNOWN = {
    "psnr": Quality("PSNR", 2, "dB"),
    "ssim": Quality("SSIM"),
    "ms-ssim": Quality("MS-SSIM"),
    "lpips": Quality("LPIPS", is_lower_better=True),
    "dists": Quality("DISTS", is_lower_better=True),
    "fsim": Quality("FSIMc"),
    "gmsd": Quality("GMSD", is_lower_better=True),
    "vif": Quality("VIF"),
    "mlclipsim": Quality("ML-CLIPSim"),
    "features": Quality("Features", is_lower_better=True),
    "maclip": Quality("MA-CLIP"),
    "clipiqa": Quality("CLIP-IQA"),
}
"""A test holds that labels and directions are those of the metrics' cards, which this room does not know."""


def quality(name: str) -> Quality:
    """Return how a metric is shown; one that is not the house's, by its name."""
    return _KNOWN.get(name, Quality(name))


def known_qualities() -> list[str]:
    """Return the names of the house's metrics."""
    return list(_KNOWN)
