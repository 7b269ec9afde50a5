"""Sets that may be fetched, and how.

What is verified: the length that the server tells, the CRC-32 that zip and PNG carry, and checksums that others have
published for these addresses: torchvision the MD5 of VOC 2012 (`datasets/voc.py`), TensorFlow Datasets the SHA-256 of
COCO's and CLIC's archives (`url_checksums/`). The SHA-256 of what came is printed, and noted in
FOLDER/.download/NAME.json.
"""

import errno
import filecmp
import hashlib
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from lic.atomic import write_file
from lic.data.transfer import receive


class SetFile(NamedTuple):
    """A file of a set: its address, the folder below the user's for what it holds, `md5:` or `sha256:` and digest."""

    url: str
    into: str = ""
    checksum: str | None = None


class ImageSet(NamedTuple):
    """A set: its files, the page with its terms of use, and the folder below the user's that its reader takes."""

    files: list[SetFile]
    terms: str
    root: str = ""


_COCO = "http://images.cocodataset.org"  # its https answers with another host's certificate
_VOC = "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
_KODAK = "https://r0k.us/graphics/kodak/kodak"
_CLIC = "https://data.vision.ee.ethz.ch/cvl/clic"

SETS = {
    "coco-val": ImageSet(
        [
            SetFile(f"{_COCO}/zips/val2017.zip", "",
                    "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"),
            SetFile(f"{_COCO}/annotations/annotations_trainval2017.zip", "",
                    "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268"),
        ],
        "https://cocodataset.org/#termsofuse",
    ),
    "voc2012": ImageSet(
        [SetFile(_VOC, checksum="md5:6cd6e144f989b92b3379bac3b3de84fd")],
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    ),
    "kodak": ImageSet(
        [SetFile(f"{_KODAK}/kodim{number:02}.png", into="kodak") for number in range(1, 25)],
        "https://r0k.us/graphics/kodak/",
        root="kodak",
    ),
    "clic2020": ImageSet(  # both archives hold a folder valid/
        [
            SetFile(f"{_CLIC}/professional_valid_2020.zip", "clic2020/professional",
                    "sha256:00be38092ade2ab5163b65f7f6523d46c7bca147007f559adbb02c0afc236b7d"),
            SetFile(f"{_CLIC}/mobile_valid_2020.zip", "clic2020/mobile",
                    "sha256:ff0280382eeb32fdceb28c81a7f47ac9ad86d933ebe901680845635d04e47a10"),
        ],
        "https://clic.compression.cc",
        root="clic2020",
    ),
}

IMAGENET = """ImageNet may not be fetched without an account: register at https://image-net.org, then download
ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz (Task 1 & 2), unpack both, and lay them out as either
  FOLDER/val/CLASS/*.JPEG       one folder for each WordNet id: n01440764, n01443537, ...
  FOLDER/val/*.JPEG             flat, as it comes, with FOLDER/ILSVRC2012_devkit_t12/ beside val/
Then: python -m lic eval --data_root FOLDER"""


_DAMAGE = (None, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR)  # OSErrors of damaged offsets and names


def download(name: str, folder: Path, mirror: str | None = None) -> None:
    """Fetch what is missing of a set, verify it and lay it out below a folder.

    Args:
        name: a key of `SETS`.
        folder: made if it does not exist.
        mirror: address of a folder that holds all files, instead of their publishers'.

    Raises:
        ValueError: in one line: the server refuses or fails, a file is damaged, another file is in its place, the
            disk is full.
    """
    images = SETS[name]
    print(f"{name}: terms of use at {images.terms}")
    try:
        (folder / ".download").mkdir(parents=True, exist_ok=True)
        for file in images.files:
            _complete(file, folder, mirror)
    except OSError as error:
        cause = f"{error.strerror or error}" + (f": '{error.filename}'" if error.filename else "")
        raise ValueError(f"cannot write in '{folder}' ({cause}); once mended, the same command goes on") from error
    print(f"complete: --data_root {folder / images.root}")


def _complete(file: SetFile, folder: Path, mirror: str | None) -> None:
    """Bring a file and lay out what it holds, unless all of that is there."""
    name = file.url.rpartition("/")[2]
    archive, note = (folder / ".download" / each for each in (name, f"{name}.json"))
    if note.exists() and all((folder / path).exists() for path in json.loads(note.read_text())["files"]):
        print(f"{name} is there")
        return
    if not archive.exists():
        part = archive.with_name(f"{name}.part")
        receive(f"{mirror}/{name}" if mirror else file.url, part)
        part.replace(archive)
    kind, _, expected = (file.checksum or "").partition(":")
    if kind and (came := _digest(archive, kind)) != expected:
        archive.unlink()
        raise ValueError(f"{name}: expected {kind} {expected}, came {came}; deleted it, run the same command again")
    sha256 = _digest(archive, "sha256")
    print(f"{name}  {archive.stat().st_size} bytes  sha256 {sha256}", flush=True)  # unpacking takes a while
    unpacked = archive.with_name(f"{name}.unpacked")
    shutil.rmtree(unpacked, ignore_errors=True)  # of a process that was killed
    try:
        _unpack(archive, unpacked / file.into)
        paths = _move(unpacked, folder)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    write_file(json.dumps({"url": file.url, "sha256": sha256, "files": paths}).encode(), note)
    archive.unlink()


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _unpack(archive: Path, into: Path) -> None:
    """Unpack an archive, or copy an image, which verifies it; a damaged or unsafe one is deleted."""
    into.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as members:
                for path in map(PurePosixPath, members.namelist()):
                    if path.is_absolute() or ".." in path.parts:
                        raise zipfile.BadZipFile(f"'{path}' would be outside the folder")
                members.extractall(into)
        elif archive.suffix == ".tar":
            with tarfile.open(archive, "r:") as members:
                members.extractall(into, filter="data")
        else:
            with Image.open(archive, formats=["PNG"]) as image:
                image.verify()
            shutil.copy(archive, into)
    except Exception as error:  # parsers raise whatever they trip over
        if isinstance(error, OSError) and error.errno not in _DAMAGE:
            raise  # the disk's
        archive.unlink()
        cause = f"{archive.name} is damaged or unsafe ({error})"
        raise ValueError(f"{cause}; deleted it, run the same command again") from error


def _move(unpacked: Path, folder: Path) -> list[str]:
    """Move files to where they belong, unless another is there; return their paths below the folder."""
    paths = sorted(path.relative_to(unpacked) for path in unpacked.rglob("*") if not path.is_dir())
    there = [path for path in paths if os.path.lexists(folder / path)]
    others = [path for path in there if not filecmp.cmp(unpacked / path, folder / path, shallow=False)]
    if others:
        count = f"{len(others)} files differ from the set's, first '{folder / others[0]}'"
        raise ValueError(f"{count}; nothing was overwritten: move them away or choose another -o")
    for path in sorted(set(paths) - set(there)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(unpacked / path, folder / path)
    return [path.as_posix() for path in paths]
