"""Images per second: the bare decoders, and crops of files and of shards beside them.

python benchmarks/data.py ~/photos                     # a folder of JPEG photographs
python benchmarks/data.py ~/photos --crop_px 192 --limit 400

All take turns in one process, over the same images, with one thread:

- *Pillow*, *torchvision*, *simplejpeg*, *PyTurboJPEG*: bytes in memory -> 8-bit RGB, nothing else. PyTurboJPEG is
  left out where it, or libturbojpeg of the system, is not installed. Whether pixels are Pillow's is said beside it.
- *files*, *shards*: a training's crops, from opening the file to 8 bits of a crop.
- *files, N workers*: batches as a training's loader hands them out, to a process that does nothing with them.

Wanted: 0.9 of simplejpeg, which decodes what is trained on.
"""

import argparse
import io
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from simplejpeg import decode_jpeg
from torch.utils.data import DataLoader
from torchvision import io as io_of_torchvision
from torchvision.io import ImageReadMode

from lic.data.crops import Crops, Draw, StepSampler, collate
from lic.data.shard_writer import write_shards
from lic.data.shards import open_shards
from lic.data.source import Files, Source
from lic.listing import image_names
from lic.printing import Console
from lic.settings.shards import ShardsConfig

Decoder = Callable[[bytes], np.ndarray]
TURNS = 7


def main() -> None:
    """Measure what the command line names and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--crop_px", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--limit", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in image_names(options.folder) if name.lower().endswith((".jpg", ".jpeg"))]
    names = random.Random(0).sample(names, min(options.limit, len(names)))
    contents = [Path(name).read_bytes() for name in names]
    with tempfile.TemporaryDirectory() as folder:
        list(write_shards(ShardsConfig([options.folder], folder, jobs=1), names))
        sources = {"files": Files(names), "shards": open_shards(folder, Console(quiet=True))}
        sides: dict[str, Callable[[], None]] = {}
        for name, decode in decoders().items():
            sides[name] = partial(decode_all, decode, contents)
        for name, source in sources.items():
            sides[name] = partial(crop_all, source, options.crop_px)
        for name, source in sources.items():
            for workers in (1, 2):
                sides[f"{name}, {workers} workers"] = partial(load_all, source, options, workers)
        seconds = take_turns(sides)
    megapixels = statistics.mean(np.prod(Image.open(io.BytesIO(content)).size) for content in contents) / 1e6
    kilobytes = statistics.mean(map(len, contents)) / 1e3
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}; {len(names)} JPEG of {megapixels:.2f} megapixels and {kilobytes:.0f} kB, crops of "
          f"{options.crop_px} px, medians of {TURNS}\n")  # fmt: skip
    print("| | images/s | beside Pillow | pixels are Pillow's |\n|---|---:|---:|---|")
    for name, each in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(each, seconds["Pillow"], strict=True))
        same = same_pixels(decoders()[name], contents) if name in decoders() else ""
        print(f"| {name} | {len(names) / statistics.median(each):.0f} | {ratio:.2f} | {same} |")


def decoders() -> dict[str, Decoder]:
    """Return what turns the bytes of a JPEG into pixels, of what is installed."""

    def torchvision(content: bytes) -> np.ndarray:
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return io_of_torchvision.decode_jpeg(encoded, ImageReadMode.RGB).permute(1, 2, 0).numpy()

    found: dict[str, Decoder] = {
        "Pillow": lambda content: np.array(Image.open(io.BytesIO(content)).convert("RGB")),
        "torchvision": torchvision,
        "simplejpeg": decode_jpeg,
    }
    try:
        from turbojpeg import TJPF_RGB, TurboJPEG

        found["PyTurboJPEG"] = partial(TurboJPEG().decode, pixel_format=TJPF_RGB)
    except (ImportError, RuntimeError):
        pass
    return found


def same_pixels(decode: Decoder, contents: Sequence[bytes]) -> str:
    """Return of how many images a decoder gives what Pillow gives."""
    pillow = decoders()["Pillow"]
    number = sum(np.array_equal(decode(content), pillow(content)) for content in contents)
    return f"of {number} in {len(contents)}"


def decode_all(decode: Decoder, contents: Sequence[bytes]) -> None:
    """Decode every image."""
    for content in contents:
        decode(content)


def crop_all(source: Source, crop_px: int) -> None:
    """Cut a crop of every image."""
    crops = Crops(source)
    for index in range(len(source)):
        _ = crops[Draw(index, index, crop_px)]


def load_all(source: Source, options: argparse.Namespace, workers: int) -> None:
    """Take a pass from the loader, the start of its workers left out."""
    sampler = StepSampler(source.groups, options.batch_size, [(0, float(options.crop_px))], 0)
    loader = LOADERS.setdefault((id(source), workers), DataLoader(
        Crops(source), batch_sampler=sampler, collate_fn=collate, num_workers=workers, persistent_workers=True,
    ))  # fmt: skip
    for _ in loader:
        pass


LOADERS: dict[tuple[int, int], DataLoader] = {}


def take_turns(sides: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Return the seconds of each side's turns, after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(TURNS + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
