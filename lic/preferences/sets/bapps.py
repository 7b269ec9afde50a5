"""BAPPS (Zhang et al. 2018, LPIPS): which of two patches is nearer to the reference.

    2afc/val/{traditional,cnn,superres,deblur,color,frameinterp}/{ref,p0,p1}/000000.png and judge/000000.npy
    2afc/train/{traditional,cnn,mix}/...

A judgement is the share that prefers p1, so the preference for the first, p0, is 1 minus it. The patches are shown to
metrics as they were to people and to LPIPS: shrunk to 64 px. Just noticeable differences (jnd/) are not read.
"""

from pathlib import Path

import numpy as np

from lic.preferences.sets.listing import Listing, Pair

PUBLISHED = {
    "val": {"traditional": 4700, "cnn": 4700, "superres": 10900, "deblur": 9400, "color": 4700, "frameinterp": 1900},
    "train": {"traditional": 56600, "cnn": 38100, "mix": 56600},
}
"""Comparisons of each kind, as the authors round them: to hundreds."""

_PARTS = {"test": ["val"], "fit": ["train"], "all": ["train", "val"]}
SIDE_PX = 64


def list_bapps(folder: Path, split: str, published: dict[str, dict[str, int]] | None = PUBLISHED) -> Listing:
    """Return BAPPS's judgements; see the head of this file.

    Args:
        folder: that holds 2afc/, or is it.
        split: test (val), fit (train) or all.
        published: what each part must hold, within the rounding; None: anything.
    """
    root = next((place for place in (folder / "2afc", folder, folder / "dataset" / "2afc") if (place / "val").is_dir()
                 or (place / "train").is_dir()), None)  # fmt: skip
    if root is None:
        raise ValueError(f"no 2afc/val or 2afc/train in {folder}; is it BAPPS's folder?")
    pairs = []
    for part in _PARTS[split]:
        kinds = sorted(path.name for path in (root / part).glob("*") if (path / "judge").is_dir())
        counts = {}
        for kind in kinds:
            found = _read_kind(root / part / kind, kind)
            counts[kind] = len(found)
            pairs += found
        if published is not None:
            _check(root / part, counts, published[part])
    return Listing(f"bapps {' and '.join(_PARTS[split])}", folder, [], pairs, "higher", "shares of judgements", SIDE_PX)


def _read_kind(folder: Path, kind: str) -> list[Pair]:
    pairs = []
    for judge in sorted((folder / "judge").glob("*.npy")):
        try:
            share = float(np.load(judge, allow_pickle=False).ravel()[0])
        except (ValueError, IndexError, EOFError) as error:
            raise ValueError(f"{judge} holds no judgement: {error}") from error
        if not 0 <= share <= 1:
            raise ValueError(f"{judge}: expected a share in 0 .. 1, found {share:g}")
        first, second, reference = (folder / place / f"{judge.stem}.png" for place in ("p0", "p1", "ref"))
        pairs.append(Pair(first, second, reference, 1 - share, kind))
    return pairs


def _check(folder: Path, counts: dict[str, int], published: dict[str, int]) -> None:
    """Raise ValueError unless every kind is there with as many comparisons as published, rounded to hundreds."""
    for kind, expected in published.items():
        if abs(counts.get(kind, 0) - expected) > 50:
            raise ValueError(f"bapps: expected about {expected} judgements in {folder / kind}, found "
                             f"{counts.get(kind, 0)}: is the set unpacked whole?")  # fmt: skip
