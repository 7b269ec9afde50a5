"""python -m lic metrics: what metrics there are, and what they declare of themselves.

python -m lic metrics           a table
python -m lic metrics --json    the same for machines
"""

import json
import math
import sys
from dataclasses import asdict
from typing import Any, get_args

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lic.cli import fail
from lic.metrics.cards import CARDS
from lic.metrics.metric import Card
from lic.metrics.weights import how_to_get, is_here
from lic.settings.names import DistortionName

WIDTH = 120
"""Columns of the table where no terminal tells its width."""


def main(argv: list[str]) -> None:
    """List the metrics."""
    if argv in (["-h"], ["--help"]):
        sys.stdout.write(str(__doc__))
    elif argv == ["--json"]:
        print(json.dumps([_as_record(card) for card in CARDS.values()], indent=2))
    elif argv:
        fail("lic metrics", f"expected nothing or --json, got: {' '.join(argv)}")
    else:
        _print_table()


def _as_record(card: Card) -> dict[str, Any]:
    """Return a card in JSON's types: null for no limit, no distortion, no weights that could be here."""
    limits = {"lowest": _finite(card.lowest), "highest": _finite(card.highest)}
    return {**asdict(card), **limits, "distortion": _distortion(card), "weights_here": is_here(card.name)}


def _finite(limit: float) -> float | None:
    return limit if math.isfinite(limit) else None


def _distortion(card: Card) -> str | None:
    """Return the --distortion whose view it is, if there is one."""
    name = "mse" if card.name == "psnr" else card.name
    return name if name in get_args(DistortionName) else None


def _print_table() -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("name", "reference", "better", "range", "--distortion", "weights", "licence", "source"):
        table.add_column(heading, no_wrap=heading not in ("licence", "source"))
    for card in CARDS.values():
        table.add_row(*(escape(cell) for cell in _cells(card)))
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    console.print(table)
    for card in CARDS.values():
        if is_here(card.name) is False:
            console.print(f"{card.name} needs {escape(how_to_get(card.name))}", soft_wrap=True, highlight=False)


def _cells(card: Card) -> list[str]:
    limits = " .. ".join("-∞" if value == -math.inf else "∞" if value == math.inf else f"{value:g}"
                         for value in (card.lowest, card.highest))  # fmt: skip
    here = {None: "none", True: "here", False: "missing"}[is_here(card.name)]
    distortion = _distortion(card) or ("no, differentiable" if card.is_differentiable else "no")
    return [card.name, card.reference, card.better, limits, distortion, here, card.licence, card.source]
