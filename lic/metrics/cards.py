"""The metrics' cards: what `python -m lic metrics` lists."""

from math import inf

from lic.metrics.metric import Card
from lic.settings.names import MetricName

CARDS: dict[MetricName, Card] = {
    card.name: card
    for card in (
        Card("psnr", "PSNR", "full", "higher", 0, 100, True, "none", "Apache-2.0 (ours)", "-"),
        Card("ssim", "SSIM", "full", "higher", -1, 1, True, "none", "MIT (pytorch-msssim)", "Wang et al. 2004"),
        Card("ms-ssim", "MS-SSIM", "full", "higher", 0, 1, True, "none", "MIT (pytorch-msssim)", "Wang et al. 2003"),
        Card("lpips", "LPIPS", "full", "lower", 0, inf, True,
             "AlexNet (lpips:vgg: VGG16) of torchvision, linear layers in torchmetrics",
             "Apache-2.0, BSD", "Zhang et al. 2018"),
        Card("dists", "DISTS", "full", "lower", 0, 1, True, "VGG16 of torchvision, alpha and beta in torchmetrics",
             "Apache-2.0, MIT, BSD", "Ding et al. 2020"),
        Card("fsim", "FSIMc", "full", "higher", 0, 1, True, "none", "Apache-2.0 (after piq)", "Zhang et al. 2011"),
        Card("gmsd", "GMSD", "full", "lower", 0, 0.5, True, "none", "Apache-2.0 (after piq)",
             "Xue et al. 2014"),
        Card("vif", "VIF", "full", "higher", 0, inf, True, "none", "Apache-2.0 (after piq)",
             "Sheikh & Bovik 2006"),
        Card("mlclipsim", "ML-CLIPSim", "full", "higher", -1, 1, True,
             "checkpoints/demo/clip.safetensors, an open_clip tag, or a file",
             "Apache-2.0 (ours; the encoder's own)", "Ding et al. 2026, arXiv 2605.09479"),
        Card("features", "Features", "full", "lower", 0, inf, True,
             "checkpoints/demo/clip.safetensors, or the backbone's: an open_clip tag, timm, torchvision, or a file",
             "Apache-2.0 (ours; the backbone's own)", "Ghildyal et al. 2025, arXiv 2409.07650"),
        Card("maclip", "MA-CLIP", "none", "higher", 0, inf, True,
             "an open_clip tag (OpenAI's RN50, 408 MB as float32), or a file",
             "Apache-2.0 (ours); OpenAI's weights MIT", "Liao et al. 2026, arXiv 2511.09948"),
        Card("clipiqa", "CLIP-IQA", "none", "higher", 0, 1, True,
             "an open_clip tag (OpenAI's RN50, 408 MB as float32), or a file",
             "Apache-2.0 (ours); OpenAI's weights MIT", "Wang et al. 2023, arXiv 2207.12396"),
    )
}  # fmt: skip
