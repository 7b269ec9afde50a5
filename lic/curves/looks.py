"""How curves look, in the figure and in the report alike."""

from collections.abc import Sequence
from typing import NamedTuple

from lic.curves.results import Results

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color), which colour-blind readers can tell apart.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREYS = ("#6f6f6f", "#a3a3a3", "#505050", "#bcbcbc")
DASHES = ((5, 2), (1.5, 1.5), (5, 1.5, 1, 1.5), (8, 2))


class Look(NamedTuple):
    """One curve's line."""

    colour: str
    dashes: tuple[float, ...]
    """Lengths of dash and gap in line widths; none for a solid line."""
    order: int
    """Its place among the learned codecs, or among the others."""


def looks(results: Sequence[Results]) -> list[Look]:
    """Return a solid coloured line for each learned codec and a dashed grey one for each other; one name, one look."""
    found: dict[tuple[str, bool], Look] = {}
    for each in results:
        order = sum(is_learned == each.is_learned for _, is_learned in found)
        colours = COLOURS if each.is_learned else GREYS
        dashes = () if each.is_learned else DASHES[order % len(DASHES)]
        found.setdefault((each.name, each.is_learned), Look(colours[order % len(colours)], dashes, order))
    return [found[each.name, each.is_learned] for each in results]
