"""The report's tables, as HTML that a script can sort."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from lic.curves.comparison import SHARES, BdCell, bd_rows, drops, label, lost_points, setting
from lic.curves.results import Results, facts_of, list_qualities, list_tasks
from lic.curves.seeds import merge_seeds
from lic.settings.names import FitName


def summary_table(results: Sequence[Results]) -> str:
    """Return a row for each operating point, seeds averaged, and the uncompressed ceiling at the foot."""
    results = merge_seeds(results)
    facts = {quality: facts_of(results, quality) for quality in (*list_qualities(results), *list_tasks(results))}
    heads = ["codec", "setting", "bpp", *(label(results, quality) for quality in facts), "enc. ms", "dec. ms"]
    rows = []
    for each in results:
        for point in each.points:
            order = point.quality if point.quality is not None else point.lmbda
            cells = [_cell(each.name), _cell(setting(point), order), _number(point.bpp, 3)]
            for quality, shown in facts.items():
                ends = point.interval(quality) or ()
                hint = " to ".join(f"{shown.factor * end:.{shown.digits}f}" for end in ends)
                cells.append(_number(shown.factor * point.score(quality), shown.digits, hint))
            cells += [_number(1000 * seconds, 1) for seconds in (point.encode_seconds, point.decode_seconds)]
            rows.append(cells)
    blank = _cell("")
    ceilings = [
        [
            _number(shown.factor * each.ceiling_score(quality), shown.digits) if quality in each.ceiling else blank
            for quality, shown in facts.items()
        ]
        for each in results
        if each.ceiling
    ]
    foot = [[_cell("uncompressed"), blank, blank, *ceiling, blank, blank] for ceiling in _unique(ceilings)]
    return _table(heads, rows, "sortable", foot)


def bd_table(reference: Results, results: Sequence[Results], fit: FitName | None = None) -> str:
    """Return BD-rate and BD-accuracy of each codec against the reference, with heading and notes; see `bd_rows`."""
    notes: list[str] = []

    def cells(delta: BdCell) -> list[str]:
        if delta.note and delta.note not in notes:
            notes.append(delta.note)
        mark = f"<sup>{notes.index(delta.note) + 1}</sup>" if delta.note else ""
        order = "" if delta.value is None else f"{delta.value:.9g}"
        text = escape(delta.text).replace("-", "&ndash;" if delta.value is None else "&minus;")
        return [f'<td data-order="{order}">{text}{mark}</td>', _cell(delta.over, "")]

    rows = [
        [_cell(row.quality), _cell(row.name), *cells(row.rate), *(cells(row.fitted)[:1] if fit else []),
         *cells(row.accuracy)]
        for row in bd_rows(reference, results, fit)
    ]  # fmt: skip
    mended = "With MPEG's fit, curves that do not rise are replaced by a monotone cubic. " if fit else ""
    heads = ["quality", "codec", "BD-rate", "over", *(["MPEG's fit"] if fit else []), "BD-accuracy", "over bpp"]
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f"<h3>Compared with {escape(reference.name)}</h3>\n"
        '<p class="note">BD-rate: difference in bits at equal quality, less is better. BD-accuracy: difference in '
        "quality at equal bits, more is better. Averaged over the range that both curves reach, which is given; "
        "nothing is extrapolated. In brackets: of several seeds, whose mean is given, the range; else a BD-rate's 95 % "
        f"bootstrap interval over the images. {mended}</p>\n"
        + _table(heads, rows, "sortable two-names")
        + (f'<ol class="note">{listed}</ol>\n' if notes else "")
    )


def drop_table(results: Sequence[Results], at_bpp: Sequence[float] | None) -> str:
    """Return what each codec loses in each task at fixed rates, with heading; empty where there is nothing to show."""
    rates, found = drops(results, at_bpp)
    if not rates:
        return ""
    rows = [
        [
            _cell(row.task),
            _cell(row.name),
            *(_number(math.nan if drop is None else drop, row.digits) for drop in row.drops),
            *(_number(math.nan if bpp is None else bpp, 3) for bpp in row.needed),
        ]
        for row in found
    ]
    return (
        "<h3>Lost against the uncompressed images</h3>\n"
        f'<p class="note">{lost_points(results).capitalize()} below the ceiling at fixed rates, read off the lines '
        "between measured points; &ndash; outside of them. Then the bits per pixel that reach a share of the ceiling."
        "</p>\n"
        + _table(["task", "codec", *(f"{bpp:g} bpp" for bpp in rates), *(f"for {share:.0%}" for share in SHARES)],
                 rows, "sortable two-names")
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str, foot: Iterable[Sequence[str]] = ()) -> str:
    """Return a table whose cells are HTML already."""
    head = "".join(f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in heads)
    body, last = ("".join(f"<tr>{''.join(row)}</tr>\n" for row in part) for part in (rows, foot))
    return (
        f'<div class="scroll"><table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n'
        + (f"<tfoot>\n{last}</tfoot>\n" if last else "")
        + "</table></div>\n"
    )


def _cell(text: str, order: float | str | None = None) -> str:
    data = "" if order is None else f' data-order="{order}"'
    return f"<td{data}>{escape(text)}</td>"


def _number(value: float, num_digits: int, hint: str = "") -> str:
    if not math.isfinite(value):
        return '<td data-order="">&ndash;</td>'
    about = f' title="{hint}"' if hint else ""
    return f'<td data-order="{value:.9g}"{about}>{value:.{num_digits}f}</td>'


def _unique(rows: Iterable[list[str]]) -> list[list[str]]:
    return [list(row) for row in dict.fromkeys(map(tuple, rows))]
