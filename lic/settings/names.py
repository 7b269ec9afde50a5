"""What can be chosen by name.

These lists answer `--help` and mistyped names at once, without torch; a test holds that they are the rooms' cards.
"""

from typing import Literal

from jsonargparse.typing import restricted_string_type

GuestFile = restricted_string_type("GuestFile", r".+\.py", docstring="A Python file that defines CARD.")
"""Stands where a name is expected (lic/guests.py)."""

CodecName = Literal[
    "bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018",
    "cheng2020-anchor", "cheng2020-attn", "cheng2020-anchor-checkerboard",
    "elic2022-official", "elic2022-chandelier", "mlicpp",
    "bmshj2018-hyperprior-vbr", "mbt2018-mean-vbr", "mbt2018-vbr",
]  # fmt: skip
DistortionName = Literal[
    "mse", "ssim", "ms-ssim", "lpips", "dists", "fsim", "gmsd", "vif", "mlclipsim", "features",
]  # fmt: skip
MetricName = Literal[
    "psnr", "ssim", "ms-ssim", "lpips", "dists", "fsim", "gmsd", "vif", "mlclipsim", "features", "maclip", "clipiqa",
]  # fmt: skip
DEFAULT_METRICS: tuple[MetricName, ...] = ("psnr", "ms-ssim", "mlclipsim")
"""Of an evaluation."""
FeatureDistance = Literal["cos", "l2", "swd", "wsd", "jsd", "skld"]
FeaturesPreset = Literal["lic", "zs-iqa"]
MACLIPPreset = Literal["code", "paper"]
ReaderName = Literal["machines", "eyes"]
DataName = Literal["scenes", "folder"]
TaskName = Literal[
    "imagenet-cls", "folder-cls", "coco-det", "voc-det", "coco-seg", "coco-semseg", "voc-seg", "camvid-seg",
    "consistency",
]  # fmt: skip
BaselineName = Literal["jpeg", "webp", "avif", "jpeg2000", "vtm", "hm", "bpg"]
OptimizerName = Literal["adam", "soap", "muon"]
PrecisionName = Literal["auto", "32-true", "bf16-mixed"]
WandbMode = Literal["auto", "online", "offline", "disabled"]
ScheduleName = Literal["cosine", "steps", "plateau"]
FlipsName = Literal["none", "horizontal", "both"]
LEARNING_RATES: dict[OptimizerName, float] = {"adam": 1e-3, "soap": 6e-3, "muon": 2e-2}
"""Peaks by default."""
