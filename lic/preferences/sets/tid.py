"""TID2013 (Ponomarenko et al. 2015) and KADID-10k (Lin et al. 2019): twenty-odd kinds at five levels.

    tid2013/    mos_with_names.txt       distorted_images/i01_01_1.bmp   reference_images/I01.BMP
    kadid10k/   dmos.csv                 images/I01_01_01.png            images/I01.png

TID2013's files differ in case from its labels, and among themselves (I01.BMP, i25.bmp). KADID's "dmos" is a mean
opinion in spite of its name: higher is better in both.
"""

import re
from pathlib import Path

from lic.preferences.sets.listing import Entry, Files, Listing, Published, number, read_lines, read_table

TID2013 = Published(3000, 25, 24, 0.24242, 7.21429)
KADID10K = Published(10125, 81, 25, 1.0, 4.93)

_TID_KINDS = (
    "additive Gaussian noise", "colour noise", "spatially correlated noise", "masked noise", "high-frequency noise",
    "impulse noise", "quantisation noise", "Gaussian blur", "denoising", "JPEG", "JPEG 2000",
    "JPEG transmission errors", "JPEG 2000 transmission errors", "non-eccentricity pattern noise",
    "local block-wise distortions", "mean shift", "contrast change", "colour saturation",
    "multiplicative Gaussian noise", "comfort noise", "lossy compression of noisy images",
    "colour quantisation with dither", "chromatic aberrations", "sparse sampling",
)  # fmt: skip
_KADID_KINDS = (
    "Gaussian blur", "lens blur", "motion blur", "colour diffusion", "colour shift", "colour quantisation",
    "colour saturation HSV", "colour saturation Lab", "JPEG 2000", "JPEG", "white noise", "white noise in colour",
    "impulse noise", "multiplicative noise", "denoising", "brighten", "darken", "mean shift", "jitter",
    "non-eccentricity patch", "pixelate", "quantisation", "colour block", "high sharpen", "contrast change",
)  # fmt: skip


def list_tid2013(folder: Path) -> Listing:
    """Return TID2013's labels; see the head of this file."""
    files = Files(folder)
    path = files.need("mos_with_names.txt")
    entries = []
    for line, (mos, name) in read_lines(path, None, 2):
        image, kind, level = _parts(name, path, line)
        entries.append(Entry(
            files.place(name, ["distorted_images"]), files.place(f"I{image}.BMP", ["reference_images"]),
            number(mos, path, line), _name(_TID_KINDS, kind, path, line), level,
        ))  # fmt: skip
    return Listing("tid2013", folder, entries, [], "higher", "mean opinion scores")


def list_kadid10k(folder: Path) -> Listing:
    """Return KADID-10k's labels; see the head of this file."""
    files = Files(folder)
    path = files.need("dmos.csv")
    header, rows = read_table(path)
    if header[:3] != ["dist_img", "ref_img", "dmos"]:
        raise ValueError(f"{path}: expected the columns dist_img, ref_img, dmos, found {', '.join(header)}")
    entries = []
    for line, (name, reference, dmos, *_) in rows:
        _, kind, level = _parts(name, path, line)
        entries.append(Entry(
            files.place(name, ["images"]), files.place(reference, ["images"]),
            number(dmos, path, line), _name(_KADID_KINDS, kind, path, line), level,
        ))  # fmt: skip
    return Listing("kadid10k", folder, entries, [], "higher", "mean opinion scores (called dmos)")


def _parts(name: str, path: Path, line: int) -> tuple[str, int, int]:
    """Return the image's number as it is written, kind and level of a name such as i01_09_3.bmp."""
    parts = re.match(r"i(\d+)_(\d+)_(\d+)\.", name, re.I)
    if not parts:
        raise ValueError(f"{path}, line {line}: expected a name such as I01_09_3.bmp, found '{name}'")
    return parts[1], int(parts[2]), int(parts[3])


def _name(kinds: tuple[str, ...], kind: int, path: Path, line: int) -> str:
    if not 1 <= kind <= len(kinds):
        raise ValueError(f"{path}, line {line}: kind {kind} is none of 1 .. {len(kinds)}")
    return kinds[kind - 1]
