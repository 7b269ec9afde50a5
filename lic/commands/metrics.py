"""List the metrics and what they declare of themselves.

python -m lic metrics           a table
python -m lic metrics --json    the same for machines
"""

import json
import math
import sys
from typing import Any, get_args

from rich import box
from rich.table import Table

from lic.cli import fail
from lic.metrics import CARDS, MetricCard
from lic.printing import Console
from lic.settings.names import DistortionName

RECORDED = ("name", "title", "reference", "better", "lowest", "highest", "is_differentiable", "weights", "licence",
            "source")  # fmt: skip
WIDTH = 120
"""Columns of the table where no terminal tells its width."""


def main(argv: list[str]) -> None:
    """List the metrics."""
    if argv in (["-h"], ["--help"]):
        sys.stdout.write(str(__doc__))
    elif argv == ["--json"]:
        print(json.dumps([_as_record(card) for card in CARDS], indent=2))
    elif argv:
        fail("lic metrics", f"expected nothing or --json, got: {' '.join(argv)}")
    else:
        _print_table()


def _as_record(card: MetricCard) -> dict[str, Any]:
    """Return a card in JSON's types: null for no limit, no distortion, no weights that could be here."""
    own = {name: getattr(card, name) for name in RECORDED}
    limits = {"lowest": _finite(card.lowest), "highest": _finite(card.highest)}
    return {**own, **limits, "distortion": _distortion(card), "weights_here": card.is_here}


def _finite(limit: float) -> float | None:
    return limit if math.isfinite(limit) else None


def _distortion(card: MetricCard) -> str | None:
    """Return the --distortion whose view it is, if there is one."""
    name = "mse" if card.name == "psnr" else card.name
    return name if name in get_args(DistortionName) else None


def _print_table() -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("name", "reference", "better", "range", "--distortion", "weights", "licence", "source"):
        table.add_column(heading, no_wrap=heading not in ("licence", "source"))
    for card in CARDS:
        table.add_row(*_cells(card))
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    console.print(table)
    for card in CARDS:
        if card.is_here is False:
            console.print(f"{card.name} needs {card.how_to_get}", soft_wrap=True)


def _cells(card: MetricCard) -> list[str]:
    limits = " .. ".join("-∞" if value == -math.inf else "∞" if value == math.inf else f"{value:g}"
                         for value in (card.lowest, card.highest))  # fmt: skip
    here = {None: "none", True: "here", False: "missing"}[card.is_here]
    distortion = _distortion(card) or ("no, differentiable" if card.is_differentiable else "no")
    return [card.name, card.reference, card.better, limits, distortion, here, card.licence, card.source]
