"""What people call a quality, and how its numbers are shown: of the tasks as results files say, of others from here."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Facts:
    """How a task, or another quality, is shown. Higher is better."""

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
        return f"{name} ({self.unit})" if self.unit else name


QUALITIES = {
    "psnr_db": Facts("psnr_db", "PSNR", unit="dB", digits=2),
    "ms_ssim": Facts("ms_ssim", "MS-SSIM", unit="", digits=4),
    "mlclipsim": Facts("mlclipsim", "ML-CLIPSim", unit="", digits=4),
}
"""Those that every point has: its reconstructions compared with the originals."""

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
