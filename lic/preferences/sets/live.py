"""LIVE image quality, release 2 (Sheikh et al. 2006).

    dmos.mat            dmos (1, 982), orgs (1, 982): 1 where the "distorted" image is a hidden reference
    refnames_all.mat    refnames_all (1, 982): file names of references
    refimgs/*.bmp       jp2k/img1.bmp .. img227.bmp, jpeg/ 233, wn/ gblur/ fastfading/ 174 each, in this order

The 203 hidden references are dropped. The labels are differences of opinion, -2.64 .. 111.77, lower is better; some
images were found better than their reference, so that 0 is no end of the range. dmos_realigned.mat is another set of
labels, which is not read.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from lic.preferences.sets.listing import Entry, Files, Listing, Published

LIVE = Published(779, 29, 5, -2.64, 111.77)

FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
_KINDS = {"jp2k": "JPEG 2000", "jpeg": "JPEG", "wn": "white noise", "gblur": "Gaussian blur",
          "fastfading": "fast fading"}  # fmt: skip


def list_live(folder: Path, images: dict[str, int] = FOLDERS) -> Listing:
    """Return LIVE's labels; see the head of this file.

    Args:
        folder: of the set.
        images: how many each folder holds, in the order of the labels.
    """
    files = Files(folder)
    dmos, orgs = (_read(files.need("dmos.mat"), key).astype(np.float64) for key in ("dmos", "orgs"))
    references = [str(np.ravel(name)[0]) for name in _read(files.need("refnames_all.mat"), "refnames_all")]
    places = [(name, k) for name, count in images.items() for k in range(1, count + 1)]
    if not len(dmos) == len(orgs) == len(references) == len(places):
        raise ValueError(f"live: expected {len(places)} labels, found dmos {len(dmos)}, orgs {len(orgs)} and names of "
                         f"{len(references)} references in {folder}")
    entries = [
        Entry(files.place(f"img{k}.bmp", [name]), files.place(reference, ["refimgs"]), float(label), _KINDS[name])
        for (name, k), reference, label, is_original in zip(places, references, dmos, orgs, strict=True)
        if is_original != 1
    ]
    return Listing("live", folder, entries, [], "lower", "differences of mean opinion scores (dmos.mat)")


def _read(path: Path, key: str) -> Any:
    """Return a variable of a MATLAB file, flat."""
    try:
        content = loadmat(path)
    except (ValueError, TypeError, NotImplementedError, EOFError) as error:
        raise ValueError(f"{path} is no MATLAB file of version 4 to 7: {error}") from error
    if key not in content:
        held = ", ".join(name for name in content if not name.startswith("__"))
        raise ValueError(f"{path} holds no variable '{key}' but {held}; expected LIVE release 2's own file")
    return content[key].ravel()
