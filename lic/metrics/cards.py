"""The metrics' cards: what `python -m lic metrics` lists."""

from math import inf

from lic.config import MetricName
from lic.metrics.metric import Card

CARDS: dict[MetricName, Card] = {
    card.name: card
    for card in (
        Card("psnr", "PSNR", "full", "higher", -inf, 100, True, "none", "Apache-2.0 (ours)", "-"),
        Card("ms-ssim", "MS-SSIM", "full", "higher", -1, 1, True, "none", "MIT (pytorch-msssim)",
             "Wang et al. 2003"),
        Card("mlclipsim", "ML-CLIPSim", "full", "higher", -1, 1, True,
             "checkpoints/demo/clip.safetensors, an open_clip tag, or a file",
             "Apache-2.0 (ours; the encoder's own)", "Ding et al. 2026, arXiv 2605.09479"),
    )
}  # fmt: skip
