"""What people call a quality, and how its numbers are shown: of tasks as results files say, of metrics from here."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Facts:
    """How a task, or a metric, is shown."""

    headline: str
    """The one score that tables, figures and BD-rates show: `ap`. Beside it may lie the ends of its 95 % bootstrap
    interval over images, `ap_low` and `ap_high`."""
    label: str
    """What people call it: `box AP`."""
    subject: str = ""
    """What is measured, in a panel's title: `Detection`."""
    unit: Literal["%", "dB", ""] = "%"
    """Of the numbers shown; with % they are a hundred times the score."""
    digits: int = 1
    """Decimals shown."""
    is_lower_better: bool = False
    """As with a distance."""

    @property
    def factor(self) -> float:
        """What scores are multiplied by to be shown."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def difference_unit(self) -> str:
        """What follows a difference of two numbers."""
        return {"%": " pp", "dB": " dB", "": ""}[self.unit]

    @property
    def title(self) -> str:
        """A panel's title with the unit of its axis."""
        name = f"{self.subject}, {self.label}" if self.subject else self.label
        better = ", lower is better" if self.is_lower_better else ""
        return f"{name} ({self.unit})" if self.unit else f"{name}{better}"


def _metric(name: str, label: str, is_lower_better: bool = False) -> Facts:
    return Facts(name, label, unit="", digits=4, is_lower_better=is_lower_better)


METRICS = {
    "psnr": Facts("psnr", "PSNR", unit="dB", digits=2),
    "ssim": _metric("ssim", "SSIM"),
    "ms-ssim": _metric("ms-ssim", "MS-SSIM"),
    "lpips": _metric("lpips", "LPIPS", True),
    "dists": _metric("dists", "DISTS", True),
    "fsim": _metric("fsim", "FSIMc"),
    "gmsd": _metric("gmsd", "GMSD", True),
    "vif": _metric("vif", "VIF"),
    "mlclipsim": _metric("mlclipsim", "ML-CLIPSim"),
    "features": _metric("features", "Features", True),
    "maclip": _metric("maclip", "MA-CLIP"),
    "clipiqa": _metric("clipiqa", "CLIP-IQA"),
}
"""A test holds that labels and directions are those of the metrics' cards, which this room does not know."""


def metric_facts(name: str) -> Facts:
    """Return how a metric is shown; one that is not the house's, by its name."""
    return METRICS.get(name, _metric(name, name))


TASKS_OF_OLDER_FILES = {
    "imagenet-cls": Facts("top1", "top-1", "Classification"),
    "folder-cls": Facts("top1", "top-1", "Classification"),
    "coco-det": Facts("ap", "box AP", "Detection"),
    "voc-det": Facts("ap50", "AP50", "VOC detection"),
    "coco-seg": Facts("ap", "mask AP", "Instances"),
    "voc-seg": Facts("miou", "mIoU", "Segmentation"),
    "coco-semseg": Facts("miou", "mIoU", "Segmentation"),
    "camvid-seg": Facts("miou", "mIoU", "Segmentation"),
    "consistency-cls": Facts("agreement", "agreement", "Consistency"),
    "consistency-det": Facts("ap", "AP to own", "Consistency"),
    "consistency-seg": Facts("miou", "mIoU to own", "Consistency"),
}
"""For results files without the key `tasks`, which are older than it: nothing is ever added here."""
