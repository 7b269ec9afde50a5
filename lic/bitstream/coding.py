"""What `lic encode`, `decode` and `info` do with a file."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from lic.bitstream.container import (
    VERSION,
    decode,
    encode,
    find_checkpoint,
    find_codec,
    load_cached,
    read_stream_header,
)  # fmt: skip
from lic.bitstream.files import find_files, read_stream
from lic.bitstream.jobs import Coded
from lic.bitstream.rate import encode_at_rate
from lic.codecs import PHOTOS, LoadedCodec, load_codec
from lic.codecs.cost import cost_of
from lic.codecs.memory import HEIGHT, WIDTH
from lic.images import read_image, to_png
from lic.settings import require
from lic.settings.names import ReaderName

SHIPPED_FOR: dict[ReaderName, Path] = {
    "machines": PHOTOS / "mbt2018-mean-vbr-mlclipsim.safetensors",
    "eyes": PHOTOS / "mbt2018-mean-vbr-mse.safetensors",
}
DEFAULT_LMBDA = 0.01


@dataclass(frozen=True)
class Encoding:
    """The task of coding an image; see `EncodeConfig`."""

    checkpoint: Path
    lmbda: float | None
    bpp: float | None
    max_pixels: int
    tile: int | None
    device: str

    def __call__(self, path: Path) -> Coded:
        """Return the stream of an image file."""
        codec = _ready(load_cached(self.checkpoint), self.tile, self.device)
        start = perf_counter()
        image = read_image(path, to_srgb=True, max_pixels=self.max_pixels)
        stream = encode(image, codec, self.lmbda) if self.bpp is None else encode_at_rate(image, codec, self.bpp)
        return Coded(stream, len(stream), image[0, 0].numel(), perf_counter() - start)


@dataclass(frozen=True)
class Decoding:
    """The task of decoding a stream; see `DecodeConfig`."""

    checkpoints: tuple[Path, ...]
    max_pixels: int
    tile: int | None
    device: str

    def __call__(self, path: Path) -> Coded:
        """Return the PNG file of a stream's image."""
        stream = read_stream(path)
        header = read_stream_header(stream, self.max_pixels)
        codec = _ready(find_codec(header.fingerprint, self.checkpoints), self.tile, self.device)
        start = perf_counter()
        file = to_png(decode(stream, codec, self.max_pixels))
        return Coded(file, len(stream), header.height * header.width, perf_counter() - start)


def _ready(codec: LoadedCodec, tile: int | None, device: str) -> LoadedCodec:
    codec.codec.to(device).tile_px = tile
    return codec


def choose_checkpoint(checkpoints: Sequence[Path], lmbda: float | None, reader: ReaderName) -> Path:
    """Return the checkpoint that codes at an lmbda, of given ones or the shipped one for a reader.

    Raises:
        ValueError: none does; or several are given and no lmbda.
    """
    if lmbda is None:
        if len(checkpoints) > 1:
            raise ValueError(f"--checkpoint names {len(checkpoints)} files; choose among them with --lmbda")
        return checkpoints[0] if checkpoints else SHIPPED_FOR[reader]
    codecs = {path: load_cached(path) for path in checkpoints or [SHIPPED_FOR[reader]]}
    for path, codec in codecs.items():
        if _offers(codec, lmbda):
            return path
    listed = "; ".join(dict.fromkeys(_offer(codec) for codec in codecs.values())) or "nothing"
    raise ValueError(f"no checkpoint at hand codes at lmbda {lmbda:g}; on offer: {listed}")


def _offers(codec: LoadedCodec, lmbda: float) -> bool:
    own = codec.header.lmbda
    return min(own) <= lmbda <= max(own) if codec.codec.grid else lmbda in own


def _offer(codec: LoadedCodec) -> str:
    own = codec.header.lmbda
    return f"{codec.header.codec} {min(own):g}" + (f" .. {max(own):g}" if codec.codec.grid else "")


def checkpoint_files(patterns: Sequence[str] | None) -> tuple[Path, ...]:
    """Return the files of `--checkpoint`: files, globs, or folders of .safetensors files.

    Raises:
        ValueError: a pattern finds nothing.
    """
    found = tuple(find_files(patterns or [], _list_checkpoints, (".safetensors", ".ckpt")))
    for path in found:
        if not path.is_file():
            raise ValueError(f"checkpoint {path} does not exist")
    return found


def _list_checkpoints(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    unfinished = f"; of this unfinished run: {folder / 'last.ckpt'}" if (folder / "last.ckpt").is_file() else ""
    require(len(found) > 0, f"folder {folder} holds no .safetensors file{unfinished}")
    return found


def check_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{name}' is not to be had on this machine: {str(error).splitlines()[0]}") from error


def describe_checkpoint(path: Path, device: str = "cpu") -> str:
    """Return what a codec's checkpoint says of itself, and what it costs on a device, a line for each thing.

    Raises:
        ValueError: it is no checkpoint of a codec.
    """
    loaded = load_codec(path)
    header, cost = loaded.header, cost_of(loaded.codec.to(device))
    memory = "not measured on this device"
    if cost.peak is not None:
        memory = (f"{cost.peak.encode_bytes / 1e6:.0f} MB at the peak to encode {WIDTH} x {HEIGHT} px, "
                  f"{cost.peak.decode_bytes / 1e6:.0f} to decode ({loaded.codec.device.type})")  # fmt: skip
    options = ", ".join(f"{name} {value}" for name, value in header.options.items())
    tuned = f"; a decoder of its own, {loaded.sha256[:8]}, reads them" if header.streams_of else ""
    kmac = f"{cost.encode_kmac:.1f} kMAC per pixel to encode, {cost.decode_kmac:.1f} to decode"
    return (
        f"{path}\n"
        f"  codec    {header.codec} {options}\n"
        f"  trained  {header.steps} steps for {header.distortion}, on {header.data}\n"
        f"  lmbda    {' '.join(f'{lmbda:g}' for lmbda in header.lmbda)}\n"
        f"  size     {cost.num_parameters / 1e6:.2f} million parameters\n"
        f"  cost     {kmac if math.isfinite(cost.encode_kmac + cost.decode_kmac) else 'unknown'}\n"
        f"  memory   {memory}\n"
        f"  name     {loaded.fingerprint.hex()} in streams{tuned}"
    )


def describe(path: Path, checkpoints: Sequence[Path] = ()) -> str:
    """Return what a stream says of itself, a line for each thing; nothing is decoded.

    Raises:
        BitstreamError: not a whole `.lic` stream of this version.
        OSError: the file cannot be read.
    """
    stream = read_stream(path)
    header = read_stream_header(stream, max_pixels=sys.maxsize)
    checkpoint = find_checkpoint(header.fingerprint, checkpoints)
    name = f"{load_cached(checkpoint).header.codec}, {checkpoint}" if checkpoint else "its checkpoint is not at hand"
    bpp = 8 * len(stream) / (header.height * header.width)
    return (
        f"{path}\n"
        f"  version  {VERSION}\n"
        f"  codec    {header.fingerprint.hex()} ({name})\n"
        f"  lmbda    {header.lmbda:.3g}\n"
        f"  size     {header.width} x {header.height} px\n"
        f"  bytes    {len(stream)}, {bpp:.3f} bpp"
    )
