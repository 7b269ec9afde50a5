"""Encode and decode times of `lic` beside CompressAI's own `compress` and `decompress`, on equal weights.

python benchmarks/codecs.py                                              # bmshj2018-hyperprior, two sizes
python benchmarks/codecs.py --codec mbt2018-mean elic2022-official
python benchmarks/codecs.py --codec mlicpp --mlic ~/MLIC/MLIC++ --size 768x512    # a checkout of JiangWeibeta/MLIC

The two take turns within one run; medians count. Weights are random, scaled so that the latent is about as large as a
trained codec's (its bits per pixel stand in the table); the image is 1/f noise. Times are of coding alone, without the
container, of which both sides are free; without `--mlic` no official MLIC++ is at hand to compare with.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import compressai.ops
import torch
from compressai.entropy_models import GaussianConditional
from compressai.registry import MODELS
from torch import Tensor, nn

from lic.codecs import Codec, build_codec
from lic.codecs.build import codec_card
from lic.codecs.convert import convert_mlicpp
from lic.images import crop_to, pad_to_multiple


class Side(NamedTuple):
    """One of the two that are compared: image -> coded, coded -> image, coded -> bytes."""

    encode: Callable[[Tensor], Any]
    decode: Callable[[Any], Tensor]
    size: Callable[[Any], int]


def main(argv: list[str]) -> None:
    """Measure what the command line names and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", nargs="+", default=["bmshj2018-hyperprior"])
    parser.add_argument("--size", nargs="+", default=["768x512", "2048x1365"], help="width x height")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--mlic", type=Path, help="folder MLIC++ of the official repository")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"compressai {version('compressai')}, medians of {arguments.repeats}\n")
    print("| codec | size | bpp | encode s | theirs | ratio | decode s | theirs | ratio | bytes | theirs |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in arguments.codec:
        if name == "mlicpp":
            codec, network = official_mlicpp(arguments.mlic)
        else:
            codec = realistic(name)
            network = stock(name, codec)
        for size in arguments.size:
            width, height = map(int, size.split("x"))
            print(compare(name, ours(codec, height, width), theirs(network, height, width),
                          noise(height, width), arguments.repeats), flush=True)  # fmt: skip


@torch.no_grad()
def realistic(name: Any) -> Codec:
    """Return a codec of published widths and random weights whose latent is like a trained one: few channels are large.

    Channel c has the standard deviation 4 exp(-c / 12) + 0.05, and the hyperprior predicts about that.
    """
    torch.manual_seed(0)
    codec = build_codec(name).eval()
    codec.centre_quantiles()
    num_latent_channels = list(codec_card(name).options.values())[-1]
    wanted = 4 * torch.exp(-torch.arange(num_latent_channels) / 12) + 0.05
    last = _last_convolution(codec.network.g_a)
    latent = codec.network.g_a(noise(256, 256))
    last.weight *= (wanted / latent.std((0, 2, 3)))[:, None, None, None]
    last.bias *= 0
    if hasattr(codec.network, "h_s"):
        scales = _last_convolution(codec.network.h_s)
        scales.weight *= 0.1
        scales.bias[: len(wanted)] = wanted
    return codec


def _last_convolution(layers: nn.Module) -> Any:
    return [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]


def stock(name: str, codec: Codec) -> nn.Module:
    """Return CompressAI's own network with the weights of ours."""
    network: nn.Module = MODELS[name](*codec_card(name).options.values())
    network.load_state_dict(codec.network.state_dict())
    network.update(force=True)  # type: ignore[operator]  # CompressAI's method
    return network.eval()


def official_mlicpp(folder: Path | None) -> tuple[Codec, nn.Module]:
    """Return our MLIC++ and the official one with equal weights; the latter patched for a CPU and CompressAI 1.2.8."""
    if folder is None:
        raise SystemExit("--codec mlicpp needs --mlic, the folder MLIC++ of a checkout of JiangWeibeta/MLIC")
    sys.path.insert(0, str(folder))
    torch.cuda.synchronize = lambda *_: None  # called around every step, to time it
    compressai.ops.ste_round = compressai.ops.quantize_ste  # its old name
    from models import mlicpp  # type: ignore[import-not-found]  # of the checkout; needs timm and einops

    mlicpp.GaussianConditional = GaussianConditional
    torch.manual_seed(0)
    options = type("Options", (dict,), {"__getattr__": dict.__getitem__})
    network: nn.Module = mlicpp.MLICPlusPlus(options(N=192, M=320, slice_num=10, context_window=5)).eval()
    with torch.no_grad():
        network.g_a.analysis_transform[-1].weight *= 4  # type: ignore[index, union-attr, operator]  # theirs, untyped
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "weights.pth.tar"
        torch.save(network.state_dict(), path)
        codec = Codec(convert_mlicpp(path)).eval()
    network.update(force=True)  # type: ignore[operator]  # CompressAI's method
    return codec, network


def ours(codec: Codec, height: int, width: int) -> Side:
    """Return our side."""
    return Side(codec.compress, lambda coded: codec.decompress(coded, height, width), lambda coded: len(coded.string))


def theirs(network: Any, height: int, width: int) -> Side:
    """Return CompressAI's side, padded and cropped as ours."""

    def decode(coded: Any) -> Tensor:
        return crop_to(network.decompress(coded["strings"], coded["shape"])["x_hat"], height, width).clamp(0, 1)

    return Side(lambda image: network.compress(pad_to_multiple(image, 64)), decode,
                lambda coded: sum(len(string) for strings in coded["strings"] for string in strings))  # fmt: skip


@torch.no_grad()
def compare(name: str, ours: Side, theirs: Side, image: Tensor, repeats: int) -> str:
    """Return a row of the table: both sides take turns."""
    times: dict[tuple[int, str], list[float]] = {}
    coded: list[Any] = [None, None]
    decoded: list[Any] = [None, None]
    for repeat in range(repeats + 1):
        for i, side in enumerate((ours, theirs)):
            start = time.perf_counter()
            coded[i] = side.encode(image)
            middle = time.perf_counter()
            decoded[i] = side.decode(coded[i])
            end = time.perf_counter()
            if repeat > 0:  # the first is the warm-up
                times.setdefault((i, "encode"), []).append(middle - start)
                times.setdefault((i, "decode"), []).append(end - middle)
    assert (decoded[0] - decoded[1]).abs().max() < 0.05, "the two sides decode to different pictures"
    height, width = image.shape[-2:]
    sizes = [side.size(each) for side, each in zip((ours, theirs), coded, strict=True)]
    cells = [name, f"{width}x{height}", f"{8 * sizes[0] / (height * width):.3f}"]
    for step in ("encode", "decode"):
        mine, other = (statistics.median(times[i, step]) for i in (0, 1))
        cells += [f"{mine:.3f}", f"{other:.3f}", f"{other / mine:.2f}"]
    return f"| {' | '.join([*cells, *map(str, sizes)])} |"


def noise(height: int, width: int) -> Tensor:
    """Return an image of 1/f noise, the spectrum of photographs, (1, 3, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    amplitude = 1 / (rows.square() + columns.square()).sqrt().clamp(min=1 / max(height, width))
    spectrum = torch.fft.rfft2(torch.randn(1, 3, height, width, generator=generator)) * amplitude
    values = torch.fft.irfft2(spectrum, (height, width))
    return (0.5 + 0.18 * (values - values.mean()) / values.std()).clamp(0, 1)


if __name__ == "__main__":
    main(sys.argv[1:])
