"""Print ML-CLIPSim, PSNR and MS-SSIM of two images of one size.

    python -m lic compare decoded.png photo.png
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from lic.cli import KEEP_LINES
from lic.distortions import MLCLIPSim
from lic.distortions.default_backbone import PUBLISHED
from lic.images import read_image
from lic.metrics import ms_ssim, psnr_db

_NOTES = {
    "demo": "  (demo encoder: has seen no photograph)",
    "photos": "  (the formula inside an ImageNet classifier: no CLIP)",
}


def main(argv: list[str]) -> None:
    """Compare two images."""
    parser = argparse.ArgumentParser("lic compare", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("reconstruction", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--backbone", default=PUBLISHED, help="what ML-CLIPSim looks through (%(default)s)")
    settings = parser.parse_args(argv)
    reconstruction, image = (read_image(path, to_srgb=True) for path in (settings.reconstruction, settings.image))
    if reconstruction.shape != image.shape:
        sizes = " and ".join(f"{x.shape[-1]} x {x.shape[-2]}" for x in (reconstruction, image))
        raise ValueError(f"{settings.reconstruction} and {settings.image} differ in size: {sizes}")
    print(f"ML-CLIPSim  {_similarity(settings.backbone, reconstruction, image)}")
    print(f"PSNR        {psnr_db(reconstruction, image).item():.2f} dB")
    print(f"MS-SSIM     {ms_ssim(reconstruction, image).item():.4f}")


def _similarity(backbone: str, reconstruction: Tensor, image: Tensor) -> str:
    """Return ML-CLIPSim's line; why it is not measured, where the default backbone is not at hand."""
    try:
        metric = MLCLIPSim.from_pretrained(backbone)
    except ValueError as error:
        if backbone != PUBLISHED:
            raise
        return f"not measured: {error}"
    with torch.no_grad():
        similarity = metric(reconstruction, image).item()
    note = _NOTES.get(backbone, "")
    return f"{similarity:.4f}{note}"
