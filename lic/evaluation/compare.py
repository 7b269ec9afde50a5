"""`python -m lic compare a.png b.png`: how like two images are."""

import argparse
from pathlib import Path

import torch

from lic.distortions import MLCLIPSim
from lic.images import read_image
from lic.metrics import ms_ssim, psnr_db


def main(argv: list[str]) -> None:
    """Print ML-CLIPSim, PSNR and MS-SSIM of two images of one size."""
    parser = argparse.ArgumentParser("python -m lic compare", description=main.__doc__)
    parser.add_argument("reconstruction", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--pretrained", default="demo", help="encoder weights: demo, an open_clip tag, a file (demo)")
    parser.add_argument("--encoder", default="ViT-B-16", help="open_clip model name, unused by demo (ViT-B-16)")
    settings = parser.parse_args(argv)
    reconstruction, image = read_image(settings.reconstruction), read_image(settings.image)
    if reconstruction.shape != image.shape:
        sizes = " and ".join(f"{x.shape[-1]} x {x.shape[-2]}" for x in (reconstruction, image))
        raise ValueError(f"{settings.reconstruction} and {settings.image} differ in size: {sizes}")
    metric = MLCLIPSim.from_pretrained(settings.pretrained, settings.encoder)
    with torch.no_grad():
        similarity = metric(reconstruction, image).item()
    note = "  (demo encoder: has seen no photograph)" if settings.pretrained == "demo" else ""
    print(f"ML-CLIPSim  {similarity:.4f}{note}")
    print(f"PSNR        {psnr_db(reconstruction, image).item():.2f} dB")
    print(f"MS-SSIM     {ms_ssim(reconstruction, image).item():.4f}")
