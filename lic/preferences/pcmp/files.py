"""PCMP on disk: pairs of distortions of equal PSNR with the votes of networks (Ding et al. 2026, arXiv 2605.09479).

    pcmp.json        settings, versions, voters, what was skipped, how the voters agree
    manifest.jsonl   a pair a line: {"id", "reference", "split", "a", "b", "votes", "consistency"}
    references/      8-bit PNG
    images/          the distorted images; without them they are drawn anew from "kind", "strength", "seed"

    pcmp = load_pcmp(Path("pcmp"))
    as_preference_set(pcmp, "test").compared[0].preference

Pairs are split by reference into "fit" and "test", and so are voters: what is fitted to some is tested on others.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from lic.degradations import KINDS, distort
from lic.demo.drawing import WORLD_SEED
from lic.images import from_pixels, read_image, sha256_of, to_pixels
from lic.preferences.pcmp.voters import Card, Group
from lic.preferences.sets.opinions import Compared, Picture, PreferenceSet
from lic.settings import require

Part = Literal["fit", "test", "all"]
FORMAT = 1


@dataclass(frozen=True)
class Distorted:
    """One image of a pair.

    Attributes:
        kind, strength, seed: its recipe, see `lic.degradations`.
        psnr_db: of the 8-bit image.
        sha256: of its pixels, the first 16 digits: whether it was drawn anew bit for bit.
        file: relative to the folder; None if only the recipe is kept.
    """

    kind: str
    strength: float
    seed: int
    psnr_db: float
    sha256: str
    file: str | None


@dataclass(frozen=True)
class Pair:
    """Two distortions of one reference.

    Attributes:
        id: unique.
        reference: its file, relative to the folder.
        split: of the reference.
        a, b: the two images.
        votes: by voter: 1 prefers a, 0 b, 0.5 neither.
        consistency: by voter, that of a and that of b: the larger got the vote.
    """

    id: str
    reference: str
    split: Group
    a: Distorted
    b: Distorted
    votes: dict[str, float]
    consistency: dict[str, list[float]]

    def to_json(self) -> str:
        """Return the pair's line of the manifest, without the end of the line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class PCMP:
    """A built set.

    Attributes:
        folder: where it lies.
        voters: who voted.
        pairs: in the order of the manifest.
        description: what pcmp.json says besides.
    """

    folder: Path
    voters: list[Card]
    pairs: list[Pair]
    description: dict[str, Any]

    @property
    def is_drawn(self) -> bool:
        """Whether the references are demo scenes."""
        return all(name.startswith(f"scene-{WORLD_SEED}-") for name in self.description["references"])

    def select(self, split: Part) -> list[Pair]:
        """Return the pairs of the references of a split."""
        return [pair for pair in self.pairs if split in ("all", pair.split)]

    def voters_of(self, group: Part) -> list[str]:
        """Return the names of the voters of a group.

        Raises:
            ValueError: there are none.
        """
        names = [card.name for card in self.voters if group in ("all", card.group)]
        require(len(names) > 0, f"PCMP {self.folder} has no voters in the group '{group}'; build it with networks of "
                                "two families or with --test_network, or take the group 'all'")
        return names

    def read(self, pair: Pair, one: Distorted) -> Tensor:
        """Return an image of a pair, (1, 3, H, W), RGB in [0, 1], from its file or drawn anew.

        Raises:
            ValueError: other versions of the libraries draw it otherwise.
        """
        if one.file is not None:
            return read_image(self.folder / one.file)
        pixels = distort(to_pixels(read_image(self.folder / pair.reference)), one.kind, one.strength, one.seed)
        require(sha256_of(pixels) == one.sha256,
                f"{one.kind} of {pair.reference} is not drawn as it was voted on: PCMP {self.folder} was built with "
                f"{self.description.get('versions')}; build it anew, or with --images true")
        return from_pixels(pixels)


def soft_label(pair: Pair, voters: Sequence[str]) -> float:
    """Return the share of voters that prefer a, in [0, 1]; ties count half."""
    return float(np.mean([pair.votes[name] for name in voters]))


def as_preference_set(pcmp: PCMP, split: Part, group: Part | None = None) -> PreferenceSet:
    """Return the comparisons of a split, with the soft labels of a group of voters (of the same name if not given).

    Raises:
        ValueError: the group has no voters.
    """
    voters = pcmp.voters_of(group or split)
    references = {pair.reference: Picture.of(pcmp.folder / pair.reference, pair.reference) for pair in pcmp.pairs}
    compared = [
        Compared(
            first=Picture(f"{pair.id}/a", partial(pcmp.read, pair, pair.a)),
            second=Picture(f"{pair.id}/b", partial(pcmp.read, pair, pair.b)),
            reference=references[pair.reference],
            preference=soft_label(pair, voters),
            kind=f"{pair.a.kind} / {pair.b.kind}",
        )
        for pair in pcmp.select(split)
    ]
    return PreferenceSet(f"PCMP {pcmp.folder.name}", compared=compared)


def load_pcmp(folder: Path) -> PCMP:
    """Return the set in a folder.

    Raises:
        ValueError: in one line: there is none, it is unfinished, damaged, or lacks files.
    """
    header, manifest = folder / "pcmp.json", folder / "manifest.jsonl"
    if not header.is_file() and (folder / "plan.json").is_file():
        raise ValueError(f"PCMP {folder} is unfinished; the command that began it goes on with it")
    for path in (header, manifest):
        require(path.is_file(), f"no PCMP at {folder}: {path.name} is missing; "
                                f"python -m lic preferences build --output {folder} makes one")
    try:
        description = json.loads(header.read_text(encoding="utf-8"))
        cards = [Card(**card) for card in description["voters"]]
        wanted = description["num_pairs"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{header} is no description of a PCMP: {error!r}") from error
    require(description.get("format") == FORMAT, f"{header} is of format {description.get('format')}, not {FORMAT}")
    lines = manifest.read_text(encoding="utf-8").splitlines()
    pairs = [_read_pair(line, f"{manifest} line {i}", cards) for i, line in enumerate(lines, start=1)]
    require(len(pairs) == wanted, f"{manifest} has {len(pairs)} pairs, but {header} says {wanted}")
    files = {name for pair in pairs for name in (pair.reference, pair.a.file, pair.b.file) if name}
    missing = sorted(name for name in files if not (folder / name).is_file())
    require(not missing, f"PCMP {folder} lacks {len(missing)} of its files, such as {missing[:1]}")
    return PCMP(folder, cards, pairs, description)


def _read_pair(line: str, place: str, cards: Sequence[Card]) -> Pair:
    try:
        content = json.loads(line)
        one, other = (Distorted(**content.pop(side)) for side in ("a", "b"))
        pair = Pair(a=one, b=other, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{place} is no pair: {error!r}") from error
    names = {card.name for card in cards}
    require(set(pair.votes) == names, f"{place}: votes are by {sorted(pair.votes)}, but the voters are {sorted(names)}")
    require(all(value in (0, 0.5, 1) for value in pair.votes.values()), f"{place}: a vote is 0, 0.5 or 1")
    require(pair.split in ("fit", "test"), f"{place}: split is fit or test, not {pair.split!r}")
    for side in (one, other):
        require(side.kind in KINDS, f"{place}: kind '{side.kind}' is unknown to this version")
    return pair

