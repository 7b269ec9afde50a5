"""The benchmark's rows as tables: in the terminal, in Markdown, as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table

from lic.preferences.benchmark.followed import COMPARED, MAJORITY, OVERALL, RATED, Row
from lic.preferences.benchmark.significance import Contrast, not_worse
from lic.printing import Console

TITLES = {
    "srcc": "SRCC", "krcc": "KRCC", "plcc": "PLCC", "plcc_logistic4": "PLCC log. 4", "plcc_logistic5": "PLCC log. 5",
    "2afc": "2AFC (soft)", "accuracy_hard": "hard accuracy",
}  # fmt: skip
WIDTH = 120
"""Columns of a table that goes to a file or a pipe."""

LEGEND = "* best; = not significantly different from it (paired over references, Holm, 5 %); [ ] 95 % intervals"


class Part(NamedTuple):
    """The rows of one set that are of one sort: all rated or all compared."""

    set: str
    statistics: tuple[str, ...]
    rows: Sequence[Row]
    contrasts: Sequence[Contrast]

    @property
    def headline(self) -> str:
        """Return the statistic that metrics are ranked by."""
        return self.statistics[0]

    @property
    def title(self) -> str:
        """Return what the table is of."""
        row = next(row for row in self.rows if row.kind == OVERALL)
        what = "rated images" if self.statistics == RATED else "pairs"
        return f"{self.set}: {row.n} {what} of {row.references} references"

    def ranked(self) -> list[str]:
        """Return the metrics, the best first, those without a value last, the majority's bound at the end."""
        overall = [row for row in self.rows if row.kind == OVERALL and row.statistic == self.headline]
        overall.sort(key=lambda row: (row.metric == MAJORITY, row.value is None, -(row.value or 0)))
        return [row.metric for row in overall]

    def find(self, metric: str, kind: str, statistic: str) -> Row | None:
        """Return a row, if there is one."""
        where = (metric, kind, statistic)
        return next((row for row in self.rows if (row.metric, row.kind, row.statistic) == where), None)


def split_parts(rows: Sequence[Row], contrasts: Sequence[Contrast]) -> list[Part]:
    """Return the rows by set and sort, in the order in which they came."""
    parts = []
    for name in dict.fromkeys(row.set for row in rows):
        for statistics in (RATED, COMPARED):
            of_part = [row for row in rows if row.set == name and row.statistic in statistics]
            of_set = [each for each in contrasts if each.set == name and each.statistic == statistics[0]]
            if of_part:
                parts.append(Part(name, statistics, of_part, of_set))
    return parts


def _cells(part: Part) -> Iterator[list[str]]:
    best = next((metric for metric in part.ranked() if metric != MAJORITY), "")
    equal = not_worse(part.contrasts, best)
    for metric in part.ranked():
        mark = "*" if metric == best else "=" if metric in equal else ""
        values = [_value(part.find(metric, OVERALL, statistic), statistic == part.headline)
                  for statistic in part.statistics]  # fmt: skip
        yield [mark, metric, *values]


def _value(row: Row | None, with_interval: bool) -> str:
    if row is None or row.value is None:
        return "-"
    ends = f" [{row.low:.3f}, {row.high:.3f}]" if with_interval and row.low is not None else ""
    return f"{row.value:.4f}{ends}"


def print_part(part: Part, console: Console | None = None) -> None:
    """Print a line for each metric."""
    table = Table(title=part.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("metric", overflow="fold")
    for statistic in part.statistics:
        table.add_column(TITLES[statistic], justify="right", no_wrap=True)
    for cells in _cells(part):
        table.add_row(*cells)
    console = console or new_console()
    console.print(table)
    console.print(LEGEND)
    for line in _notes(part):
        console.print(line, soft_wrap=True)


def new_console() -> Console:
    """Return the terminal, or a page of fixed width where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _notes(part: Part) -> Iterator[str]:
    """Yield a line for each note on values over all, with metrics and statistics that it is about."""
    by_metric: dict[tuple[str, str], list[str]] = {}
    for row in part.rows:
        if row.kind == OVERALL and row.note:
            by_metric.setdefault((row.note, row.metric), []).append(TITLES[row.statistic])
    noted: dict[tuple[str, str], list[str]] = {}
    for (note, metric), statistics in by_metric.items():
        noted.setdefault((note, ", ".join(statistics)), []).append(metric)
    for (note, which), metrics in noted.items():
        is_whole = which.count(", ") + 1 == len(part.statistics)
        names = f"{len(metrics)} metrics" if len(metrics) > 2 else " and ".join(metrics)
        yield f"{names}{'' if is_whole else f', {which}'}: {note}"


def to_markdown(part: Part) -> str:
    """Return the table of `print_part`, then the headline of each kind of distortion, and what differs."""
    lines = [f"## {part.title}", "", *_table(["", "metric", *(TITLES[each] for each in part.statistics)], _cells(part))]
    lines += ["", LEGEND + ".", *(f"\n{line}." for line in _notes(part))]
    kinds = list(dict.fromkeys(row.kind for row in part.rows if row.kind != OVERALL))
    if kinds:
        metrics = part.ranked()
        lines += ["", f"{TITLES[part.headline]} by kind of distortion:", ""]
        lines += _table(["kind", "n", *metrics], (_kind_cells(part, kind, metrics) for kind in kinds))
    if part.contrasts:
        lines += ["", f"Differences in {TITLES[part.headline]}, p of no difference corrected for "
                      f"{len(part.contrasts)} pairs of metrics:", ""]  # fmt: skip
        lines += _table(["first", "second", "difference", "95 % interval", "p", "p (Holm)"],
                        (_contrast_cells(each) for each in part.contrasts))  # fmt: skip
    return "\n".join(lines) + "\n"


def _kind_cells(part: Part, kind: str, metrics: Sequence[str]) -> list[str]:
    found = [part.find(metric, kind, part.headline) for metric in metrics]
    count = next((str(row.n) for row in found if row), "")
    return [kind, count, *(_value(row, False) for row in found)]


def _contrast_cells(each: Contrast) -> list[str]:
    found = each.found
    ends = f"{found.low:+.4f} .. {found.high:+.4f}"
    return [each.first, each.second, f"{found.difference:+.4f}", ends, f"{found.p:.2g}", f"{found.p_holm:.2g}"]


def _table(header: Sequence[str], rows: Iterator[list[str]]) -> list[str]:
    ruler = ["---:" if place > 1 else "---" for place in range(len(header))]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in (header, ruler, *rows)]


def rows_to_csv(rows: Sequence[Row]) -> str:
    """Return all rows, a number each, as CSV; empty where there is none."""
    return _to_csv(Row._fields, [list(row) for row in rows])


def contrasts_to_csv(contrasts: Sequence[Contrast]) -> str:
    """Return what differs as CSV."""
    header = ["set", "statistic", "first", "second", "difference", "low", "high", "p", "p_holm"]
    return _to_csv(header, [[*each[:4], *each.found] for each in contrasts])


def _to_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return text.getvalue()
