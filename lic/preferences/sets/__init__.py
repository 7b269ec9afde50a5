"""Preference sets as people have them on disk, each checked against what its authors published.

    load_set("tid2013:/data/tid2013")            # -> PreferenceSet, opinions turned so that higher is better
    load_set("pcmp:pcmp", split="test")          # held-out references, judged by held-out voters

A set is NAME:FOLDER; the layouts are at the head of each set's file. Nothing is downloaded: the licences of these sets
allow research and ask for their own forms to be signed.
"""

import dataclasses
from pathlib import Path
from typing import Literal, cast

from lic.cli import unknown
from lic.preferences.sets import bapps, pieapp, tid
from lic.preferences.sets.csiq import CSIQ, list_csiq
from lic.preferences.sets.listing import Listing, Published, as_preference_set, check
from lic.preferences.sets.live import LIVE, list_live
from lic.preferences.sets.manifest import list_manifest, read_column_map
from lic.preferences.sets.opinions import PreferenceSet
from lic.preferences.sets.pipal import PIPAL, list_pipal

__all__ = ["SETS", "Listing", "Published", "Split", "check", "list_set", "list_voters", "load_set", "split_name"]

Split = Literal["test", "fit", "all"]
SETS = ("pcmp", "mpd", "tid2013", "kadid10k", "live", "csiq", "pipal", "bapps", "pieapp")
ListedName = Literal["mpd", "tid2013", "kadid10k", "live", "csiq", "pipal", "bapps", "pieapp"]


def load_set(spec: str, split: Split = "test", columns: str | None = None) -> PreferenceSet:
    """Return a set, checked, its images unread.

    Args:
        spec: NAME:FOLDER.
        split: test, fit or all, of the sets that have parts (pcmp, bapps, pieapp); the others are taken whole.
        columns: mpd: the YAML file that maps its manifest's columns.

    Raises:
        ValueError: in one line: unknown name, no such folder, missing files, other counts or labels than published.
    """
    name, folder = split_name(spec)
    if name == "pcmp":
        from lic.preferences.pcmp.files import as_preference_set as pairs_of
        from lic.preferences.pcmp.files import load_pcmp

        pairs = pairs_of(load_pcmp(folder), split, split)  # references, and the group of voters of the same name
        return dataclasses.replace(pairs, name=f"pcmp {split}")
    listing, published = list_set(cast(ListedName, name), folder, split, columns)
    return as_preference_set(check(listing, published))


def list_voters(spec: str, split: str) -> list[str]:
    """Return the names of the voters whose preferences `load_set` gives, where a set has voters by name (pcmp)."""
    if not spec.startswith("pcmp:"):
        return []
    _, folder = split_name(spec)
    from lic.preferences.pcmp.files import load_pcmp

    voters: list[str] = load_pcmp(folder).voters_of(cast(Split, split))
    return voters


def is_drawn(spec: str) -> bool:
    """Return whether a set's images are demo scenes, distorted: those of a PCMP that was built without photographs."""
    if not spec.startswith("pcmp:"):
        return False
    from lic.preferences.pcmp.files import load_pcmp

    return load_pcmp(split_name(spec)[1]).is_drawn


def split_name(spec: str) -> tuple[str, Path]:
    """Return name and folder of NAME:FOLDER; ValueError if either is none."""
    name, colon, folder = spec.partition(":")
    if name not in SETS:
        raise ValueError(unknown("set", name, SETS) + "; a set is NAME:FOLDER")
    if not colon or not folder:
        raise ValueError(f"set '{spec}' names no folder; write {name}:FOLDER")
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ValueError(f"set '{name}': there is no folder {path}")
    return name, path


def list_set(
    name: ListedName, folder: Path, split: str = "test", columns: str | None = None
) -> tuple[Listing, Published | None]:
    """Return a set's labels, unchecked, and what its authors say that it holds."""
    match name:
        case "mpd":
            if columns is None:
                raise ValueError(f"mpd needs --columns FILE.yaml, which says what its manifest's columns are; see "
                                 f"python -m lic preferences inspect {folder}")
            return list_manifest("mpd", folder, read_column_map(Path(columns).expanduser())), None
        case "tid2013":
            return tid.list_tid2013(folder), tid.TID2013
        case "kadid10k":
            return tid.list_kadid10k(folder), tid.KADID10K
        case "live":
            return list_live(folder), LIVE
        case "csiq":
            return list_csiq(folder), CSIQ
        case "pipal":
            return list_pipal(folder), PIPAL
        case "bapps":
            return bapps.list_bapps(folder, split), None
        case "pieapp":
            return pieapp.list_pieapp(folder, split), pieapp.PUBLISHED[split]
