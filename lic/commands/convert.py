"""Convert a checkpoint of CompressAI or of the official MLIC++; weights are rounded to fp16.

    python -m lic convert mlicpp official.pth.tar out.safetensors --lmbda 0.0035
    python -m lic convert mlicpp official.pth.tar out.safetensors --lmbda 0.0035 --distortion ms-ssim
    python -m lic convert mbt2018-mean mbt2018-mean-3-e522738d.pth.tar out.safetensors --lmbda 0.0067
"""

import argparse
from pathlib import Path

from compressai.zoo import image as zoo

from lic.cli import KEEP_LINES
from lic.codecs import Codec, save_codec
from lic.codecs.convert import convert_compressai, convert_mlicpp, header_of
from lic.settings import check_lmbda


def main(argv: list[str]) -> None:
    """Convert a checkpoint."""
    parser = argparse.ArgumentParser("lic convert", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("codec", choices=["mlicpp", *sorted(zoo.model_urls)])
    parser.add_argument("source", type=Path, help="a .pth.tar of the other project")
    parser.add_argument("target", type=Path, help="a .safetensors file")
    parser.add_argument("--lmbda", type=float, required=True, help="what it was trained for; streams name it")
    parser.add_argument("--distortion", choices=["mse", "ms-ssim"], default="mse", help="what it was trained for")
    settings = parser.parse_args(argv)
    if settings.target.suffix != ".safetensors":
        raise ValueError(f"expected a path ending in .safetensors, came '{settings.target}'")
    check_lmbda(settings.lmbda)
    name = settings.codec
    if name == "mlicpp":
        codec = Codec(network := convert_mlicpp(settings.source))
        name = "mlicpp-old" if network.is_old else "mlicpp"
    else:
        codec = convert_compressai(name, settings.source)
    header = header_of(name, codec.network, settings.lmbda, settings.distortion, settings.source)
    save_codec(codec, header, settings.target)
    print(f"{settings.target}: {name}, {sum(p.numel() for p in codec.parameters()) / 1e6:.1f} M parameters")
