"""What a task declares: a card for each value of `--task`, in the task's own file."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from lic.backbones.networks import Kind
from lic.curves.facts import METRICS, Facts
from lic.curves.results import OLDER_QUALITIES, Point
from lic.settings import require
from lic.tasks.task import Task

DEMO_DATASET = "demo scenes (embedded, synthetic)"

_TAKEN = {*METRICS, *OLDER_QUALITIES, *(each.name for each in fields(Point))}


class Source(NamedTuple):
    """Where a task's images come from, and how many of them are taken.

    Attributes:
        root: the folder of `--data_root`; the demo scenes' without one.
        is_demo: whether these are the demo scenes.
        limit: how many images to take (`lic.data.subset`); None: all.
        dataset: the card's.
        num_images: the card's.
        file_name: the card's.
    """

    root: Path
    is_demo: bool
    limit: int | None
    dataset: str | None
    num_images: int | None
    file_name: str = ""

    def describe(self, num_kept: int, num_there: int, names: Sequence[str] = ()) -> str:
        """Return what results call the images, with their number where they are not all.

        A published set's name is for the whole set and its parts by `limit`.

        Args:
            num_kept: how many are taken.
            num_there: of how many.
            names: of all the files that are there, without folders; a published set's match `file_name`.
        """
        is_published = num_there == self.num_images and all(re.fullmatch(self.file_name, name) for name in names)
        published = self.dataset if is_published or self.num_images is None else None
        dataset = DEMO_DATASET if self.is_demo else published or self.root.resolve().name
        return dataset if num_kept == num_there else f"{dataset}, {num_kept} of {num_there}"


Make = Callable[[str, Any], Task]
"""A task's full name, and a network of the verdict's kind (None where it names none) -> the task."""


class Verdict(NamedTuple):
    """What comes of a task: how it is shown, and which kind of network judges.

    Attributes:
        facts: how it is shown.
        kind: of network; None: the task brings what judges, and takes no `--network`.
        network: the one that judges where none is given, but on the demo scenes, which have one of each kind.
        suffix: of the task's name in results, where there are several verdicts.
    """

    facts: Facts
    kind: Kind | None = None
    network: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class TaskCard:
    """A value of `--task`."""

    name: str
    """As it is chosen, and as results name it."""
    verdicts: tuple[Verdict, ...]
    """One, or one for each kind of network that may judge: those kinds that are given, else all."""
    open: Callable[[Source], Make]
    """Read and check the images and labels, before any network is built; ValueError, in one line, where they are
    missing."""
    dataset: str | None = None
    """The published set that results name if all of it is there; None, or a part, or another: the folder's name."""
    num_images: int | None = None
    """How many it has."""
    file_name: str = ""
    """What its files' names match, a regular expression."""
    has_demo: bool = False
    """Whether the demo scenes are labelled for it."""

    def __post_init__(self) -> None:
        require(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name) is not None and self.name not in _TAKEN,
                f"a task may not be called '{self.name}': expected letters, digits, '-', '_' or '.', and no name that "
                "a results file uses for something else")
        require(len(self.verdicts) > 0, f"task {self.name} has no verdict; expected at least one")
