"""Results as tables, in the terminal and in Markdown."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table

from lic.curves.comparison import (
    SHARES,
    bd_rate_texts,
    bd_rows,
    compare,
    drops,
    in_percent,
    label,
    lost_points,
    setting,
)
from lic.curves.results import Results, facts_of, list_qualities, list_tasks
from lic.curves.seeds import merge_seeds
from lic.printing import Console
from lic.settings.names import FitName

WIDTH = 100
"""Columns of a table that goes to a file or a pipe, where no terminal tells its width."""


class _Row(NamedTuple):
    name: str
    cells: list[str]
    is_last: bool
    """Whether the next row belongs to another codec."""


def print_results(results: Sequence[Results], console: Console | None = None) -> None:
    """Print one row for each operating point, and the uncompressed ceiling, as one table; seeds are averaged.

    Args:
        results: codecs on the same dataset.
        console: where to print; the terminal if not given.
    """
    results = merge_seeds(results)
    datasets = ", ".join(dict.fromkeys(each.data for each in results))
    table = _new_table(f"{datasets}: {in_percent(results)}")
    table.add_column("codec", overflow="fold")
    for column in _columns(results):
        table.add_column(column, justify="right", no_wrap=True)
    previous = ""
    for row in _rows(results):
        table.add_row("" if row.name == previous else row.name, *row.cells, end_section=row.is_last)
        previous = row.name
    (console or _console()).print(table)


def markdown_table(results: Sequence[Results]) -> str:
    """Return the table of `print_results` in Markdown, ending in a newline."""
    results = merge_seeds(results)
    columns = ["codec", *_columns(results)]
    lines = [_markdown_row(columns), _markdown_row(["---"] + ["---:"] * (len(columns) - 1))]
    lines += [_markdown_row([row.name, *row.cells]) for row in _rows(results)]
    return "\n".join(lines) + "\n"


def print_bd_rates(
    reference: Results, results: Sequence[Results], console: Console | None = None, fit: FitName | None = None
) -> None:
    """Print BD-rate and BD-accuracy of each codec against a reference, for each quality and task, with the reasons.

    Args:
        reference: the one of the results that stands for 0 %, or any of its seeds.
        results: codecs on the same dataset; where they have seeds, mean and range over these are printed.
        console: where to print; the terminal if not given.
        fit: adds a column of BD-rates with the curves that do not rise fitted.
    """
    console = console or _console()
    table = _new_table(f"BD-rate against {reference.name}: bits at equal quality; BD-accuracy: quality at equal bits")
    for column in ("quality", "codec"):
        table.add_column(column, overflow="fold")
    for column in ("BD-rate", "over", *(["MPEG's fit"] if fit else []), "BD-accuracy", "over bpp"):
        table.add_column(column, justify="right", no_wrap=True)
    notes: list[str] = []
    for row in bd_rows(reference, results, fit):
        shown = (row.rate, *([row.fitted] if fit else []), row.accuracy)
        rate, *fitted, accuracy = (_noted(delta.text, delta.note, notes) for delta in shown)
        cells = (rate, row.rate.over, *fitted, accuracy, row.accuracy.over)
        table.add_row(row.quality if row.is_first else "", row.name, *cells, end_section=row.is_last)
    if table.row_count:
        console.print(table)
    for number, note in enumerate(notes, 1):
        console.print(f"  [{number}] {note}")


def markdown_bd_rates(reference: Results, results: Sequence[Results], qualities: Sequence[str]) -> str:
    """Return BD-rates in percent as a table in Markdown, ending in a newline: a row for each codec but the reference.

    Args:
        reference: the one of the results that stands for 0 %, or any of its seeds.
        results: codecs on the same dataset; where they have seeds, mean and range over these are given.
        qualities: metrics, tasks, or `task@network`; a column for each.
    """
    named = [label([reference, *results], each) for each in qualities]
    columns = [f"BD-rate against {reference.curve.recipe or reference.codec}, %", *named]
    rows = [[each.name, *bd_rate_texts(each, qualities)] for each in compare(reference, results)]
    lines = [_markdown_row(columns), _markdown_row(["---"] + ["---:"] * len(qualities)), *map(_markdown_row, rows)]
    return "\n".join(lines) + "\n"


def print_drops(
    results: Sequence[Results], at_bpp: Sequence[float] | None = None, console: Console | None = None
) -> None:
    """Print how far each codec lies below the uncompressed ceiling at fixed rates, and the rates that come near to it.

    Args:
        results: codecs on the same dataset.
        at_bpp: the rates; if not given, those of `AT_BPP` that a curve reaches.
        console: where to print; the terminal if not given.
    """
    rates, rows = drops(results, at_bpp)
    if not rates:
        return
    table = _new_table(f"{lost_points(results)} lost at fixed rates; bpp for a share of the ceiling")
    for column in ("task", "codec"):
        table.add_column(column, overflow="fold")
    for bpp in rates:
        table.add_column(f"{bpp:g} bpp", justify="right", no_wrap=True)
    for share in SHARES:
        table.add_column(f"for {share:.0%}", justify="right", no_wrap=True)
    for row in rows:
        cells = ["" if drop is None else _number(drop, row.digits) for drop in row.drops]
        cells += ["" if bpp is None else _number(bpp, 3) for bpp in row.needed]
        table.add_row(row.task if row.is_first else "", row.name, *cells, end_section=row.is_last)
    (console or _console()).print(table)


def _noted(text: str, note: str, notes: list[str]) -> str:
    """Return the text with the number of its note, which is added to the notes; a range over seeds goes below."""
    value, bracket, seeds = text.partition(" (")
    below = f"\n({seeds}" if bracket else ""
    if not note:
        return value + below
    if note not in notes:
        notes.append(note)
    return f"{value} [{notes.index(note) + 1}]{below}"


def _columns(results: Sequence[Results]) -> list[str]:
    qualities = (*list_qualities(results), *list_tasks(results))
    return ["setting", "bpp", *(label(results, quality) for quality in qualities)]


def _rows(results: Sequence[Results]) -> Iterator[_Row]:
    tasks, metrics = list_tasks(results), list_qualities(results)
    facts = {quality: facts_of(results, quality) for quality in (*metrics, *tasks)}

    def cell(quality: str, score: float) -> str:
        return _number(facts[quality].factor * score, facts[quality].digits)

    for each in results:
        for point in each.points:
            cells = [setting(point), _number(point.bpp, 3), *(cell(quality, point.score(quality)) for quality in facts)]
            yield _Row(each.name, cells, point is each.points[-1])
    ceilings: list[list[str]] = []
    for each in results:
        scores = [cell(task, each.ceiling_score(task)) if task in each.ceiling else "" for task in tasks]
        if any(scores) and scores not in ceilings:
            ceilings.append(scores)
            yield _Row("uncompressed", ["", "", *("" for _ in metrics), *scores], False)


def _number(value: float, num_digits: int) -> str:
    return f"{value:.{num_digits}f}" if math.isfinite(value) else "-"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _new_table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
