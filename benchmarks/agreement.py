"""How often a decoder that computes otherwise than the encoder reads other symbols, and is refused.

python benchmarks/agreement.py                              # a shipped codec on noise
python benchmarks/agreement.py --images ~/kodak --checkpoint runs/*/codec.safetensors

Every image is coded once in the mode that `lic` codes in, and decoded in that mode with one thing changed: where
"refused" is not 0, the mode is what keeps encoder and decoder together. Equal symbols do not make an equal picture: the
last column is the largest difference of a pixel among the images that decoded. For another machine or another torch,
write streams on one (`python -m lic encode`) and read them on the other (`python -m lic decode`).
"""

import argparse
import copy
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from lic.codecs import SHIPPED, Codec, load_codec
from lic.images import read_image
from lic.listing import list_images


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


VARIATIONS: dict[str, tuple[Callable[[], AbstractContextManager[object]], torch.memory_format]] = {
    "as the encoder": (nullcontext, torch.channels_last),
    "1 thread more": (lambda: threads(torch.get_num_threads() + 1), torch.channels_last),
    "4 times the threads": (lambda: threads(4 * torch.get_num_threads()), torch.channels_last),
    "channels first": (nullcontext, torch.contiguous_format),
    "no oneDNN": (lambda: torch.backends.mkldnn.flags(enabled=False), torch.channels_last),
    "bf16 autocast": (lambda: torch.autocast("cpu", torch.bfloat16), torch.channels_last),
}


def varied(codec: Codec, name: str) -> Codec:
    """Return a copy of a codec whose decoder computes in a variation of the encoder's mode."""
    context, memory_format = VARIATIONS[name]

    class Varied(Codec):
        @contextmanager
        def _fixed_mode(self, num_threads: int) -> Iterator[None]:
            with super()._fixed_mode(num_threads), context():
                self.network.to(memory_format=memory_format)
                yield

    codec = copy.deepcopy(codec)
    codec.__class__ = Varied
    return codec


def main(argv: list[str]) -> None:
    """Print a row for each codec and variation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", nargs="+", type=Path, default=sorted(SHIPPED.glob("*.safetensors"))[:1])
    parser.add_argument("--images", type=Path)
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    if arguments.images:
        images = [read_image(path) for path in list_images(arguments.images)]
    else:
        images = [torch.rand(1, 3, 512, 768, generator=torch.Generator().manual_seed(seed)) for seed in range(8)]
    print("| codec | decoder | refused | largest difference |\n|---|---|---:|---:|")
    for path in arguments.checkpoint:
        codec = load_codec(path).codec
        point = max(codec.grid, default=None)
        coded = [codec.compress(image, point) for image in images]
        pairs = zip(coded, images, strict=True)
        reference = [codec.decompress(each, *image.shape[-2:], point) for each, image in pairs]
        for name in VARIATIONS:
            other = varied(codec, name)
            refused, largest = 0, 0.0
            for each, expected in zip(coded, reference, strict=True):
                try:
                    difference: Tensor = (other.decompress(each, *expected.shape[-2:], point) - expected).abs().max()
                    largest = max(largest, float(difference))
                except ValueError:
                    refused += 1
            print(f"| {path.stem} | {name} | {refused}/{len(images)} | {largest:.1e} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
