"""Convert a checkpoint of CompressAI, of the official MLIC++ or DCVC-UF-Intra; weights are rounded to fp16.

    python -m lic convert mlicpp official.pth.tar out.safetensors --lmbda 0.0035
    python -m lic convert mlicpp official.pth.tar out.safetensors --lmbda 0.0035 --distortion ms-ssim
    python -m lic convert mbt2018-mean mbt2018-mean-3-e522738d.pth.tar out.safetensors --lmbda 0.0067
    python -m lic convert dcvc-uf-intra official.pth.tar out.safetensors
    python -m lic convert tcm tcm.pth.tar out.safetensors --lmbda 0.0067    # with a CompressAI that has it
"""

import argparse
from pathlib import Path

from compressai.zoo import image as zoo

from lic.cli import KEEP_LINES
from lic.codecs import Codec, save_codec
from lic.codecs.convert import convert_compressai, convert_mlicpp, convert_upstream, header_of, options_of
from lic.codecs.convert_dcvc import convert_dcvc
from lic.codecs.upstream import UPSTREAM
from lic.settings import check_lmbda, require


def main(argv: list[str]) -> None:
    """Convert a checkpoint."""
    parser = argparse.ArgumentParser("lic convert", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("codec", choices=["mlicpp", "dcvc-uf-intra", *sorted(zoo.model_urls), *UPSTREAM])
    parser.add_argument("source", type=Path, help="a .pth.tar of the other project")
    parser.add_argument("target", type=Path, help="a .safetensors file")
    parser.add_argument("--lmbda", type=float, help="what it was trained for; streams name it; not for dcvc-uf-intra")
    parser.add_argument("--distortion", choices=["mse", "ms-ssim"], default="mse", help="what it was trained for")
    settings = parser.parse_args(argv)
    if settings.target.suffix != ".safetensors":
        raise ValueError(f"expected a path ending in .safetensors, came '{settings.target}'")
    name = settings.codec
    options = None
    if name == "dcvc-uf-intra":
        require(settings.lmbda is None, f"{name} holds all of its rates: leave --lmbda out")
        codec = convert_dcvc(settings.source)
    else:
        require(settings.lmbda is not None, "give --lmbda, what it was trained for")
        check_lmbda(settings.lmbda)
        if name in UPSTREAM:
            codec, options = convert_upstream(name, settings.source)
        elif name == "mlicpp":
            codec = Codec(network := convert_mlicpp(settings.source))
            name = "mlicpp-old" if network.is_old else "mlicpp"
        else:
            codec = convert_compressai(name, settings.source)
    options = options or options_of(name, codec.network)
    header = header_of(name, options, codec.grid or [settings.lmbda], settings.distortion, settings.source)
    save_codec(codec, header, settings.target)
    print(f"{settings.target}: {name}, {sum(p.numel() for p in codec.parameters()) / 1e6:.1f} M parameters")
