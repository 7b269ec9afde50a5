"""Settings of `lic encode`, `lic decode` and `lic info`."""

from dataclasses import dataclass, field

from lic.settings import check_lmbda, require
from lic.settings.names import RateOfName, ReaderName


@dataclass(frozen=True)
class EncodeConfig:
    """Code images to .lic streams."""

    inputs: list[str] = field(default_factory=list)
    """images, folders of them, or globs (the flag may be left out: `encode photo.png`)"""
    output: str | None = None
    """-o: a .lic file for one image, else a folder; default beside the image"""
    reader: ReaderName = "machines"
    """--for: which of the shipped codecs of photographs codes, the one trained for networks or the one for people"""
    checkpoint: list[str] | None = None
    """codecs to choose from by --lmbda, in place of the shipped ones"""
    lmbda: float | None = None
    """operating point; larger is better and bigger; default 0.01, or the middle of the checkpoint's range"""
    bpp: float | None = None
    """bits per pixel of each stream, in place of --lmbda; of a variable-rate codec"""
    bpp_of: RateOfName = "image"
    """folder: --bpp is the mean of all images that are given, which share one lmbda"""
    tile: int | None = None
    """side in px of the tiles in which large images are coded, to bound memory; a multiple of 64"""
    max_pixels: int = 2**26
    """refuse larger images, as decode does unless it is told otherwise"""
    jobs: int = 1
    """images at a time, each in a process with its share of the CPU's threads"""
    device: str = "cpu"
    """cpu, cuda, ...; streams are decoded on the kind of device that coded them"""

    def __post_init__(self) -> None:
        _check_files(self.inputs, self.tile, self.jobs)
        require(self.checkpoint is None or self.reader == "machines",
                "--for chooses among the codecs that ship; with --checkpoint leave it out")
        require(self.max_pixels > 0, f"max_pixels must be positive, got {self.max_pixels}")
        require(self.bpp is None or 0 < self.bpp < 100, f"bpp must lie between 0 and 100, got {self.bpp}")
        require(self.bpp is None or self.lmbda is None, "--bpp finds the lmbda itself: leave --lmbda out")
        require(self.bpp is not None or self.bpp_of == "image", "--bpp_of folder wants the mean rate: give --bpp")
        if self.lmbda is not None:
            check_lmbda(self.lmbda)


@dataclass(frozen=True)
class DecodeConfig:
    """Decode .lic streams to PNG images."""

    inputs: list[str] = field(default_factory=list)
    """.lic files, folders of them, or globs (the flag may be left out: `decode photo.lic`)"""
    output: str | None = None
    """-o: a .png file for one stream, else a folder; default beside the stream"""
    checkpoint: list[str] | None = None
    """files to look for the streams' codecs in, before those shipped"""
    max_pixels: int = 2**26
    """refuse larger images before anything is allocated"""
    tile: int | None = None
    """side in px of the tiles in which large images are decoded, to bound memory; a multiple of 64"""
    jobs: int = 1
    """images at a time, each in a process"""
    device: str = "cpu"
    """cpu, cuda, ...; the kind that coded the stream"""

    def __post_init__(self) -> None:
        _check_files(self.inputs, self.tile, self.jobs)
        require(self.max_pixels > 0, f"max_pixels must be positive, got {self.max_pixels}")


@dataclass(frozen=True)
class InfoConfig:
    """Show what .lic streams and checkpoints say of themselves."""

    inputs: list[str] = field(default_factory=list)
    """.lic files, folders of them, globs, or checkpoints (the flag may be left out: `info photo.lic`)"""
    checkpoint: list[str] | None = None
    """files to look for the streams' codecs in, before those shipped"""
    device: str = "cpu"
    """where the peak memory of checkpoints is measured: cpu, cuda"""

    def __post_init__(self) -> None:
        _check_files(self.inputs, None, 1)


def _check_files(inputs: list[str], tile: int | None, jobs: int) -> None:
    require(len(inputs) > 0, "name at least one file, folder or glob (before lists such as --checkpoint)")
    require(tile is None or (tile > 0 and tile % 64 == 0), f"tile must be a multiple of 64, got {tile}")
    require(jobs > 0, f"jobs must be positive, got {jobs}")
