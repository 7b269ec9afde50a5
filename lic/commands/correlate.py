"""Print how well anybody's scores follow opinions: SRCC, KRCC, PLCC.

    python -m lic correlate scores.csv --prediction lpips --opinion mos
    python -m lic correlate scores.csv --prediction lpips --opinion mos --json

n, SRCC, KRCC (tau-b), PLCC of the scores as they are, and after the logistics of four and five parameters
(lic/preferences/benchmark/correlations.py); a fit that failed is null, with its reason.
"""

import json
import math
import sys
from pathlib import Path

from lic.cli import parse_config, unknown
from lic.settings.preferences import CorrelateConfig


def main(argv: list[str]) -> None:
    """Print the correlations of two columns of a CSV file."""
    config = parse_config(CorrelateConfig, argv, "lic correlate", str(__doc__))
    from lic.preferences.benchmark.correlations import correlate

    path = Path(config.inputs[0]).expanduser()
    prediction, opinion = read_columns(path, config.prediction, config.opinion)
    try:
        found = correlate(prediction, opinion)
    except ValueError as error:
        columns = {"prediction": config.prediction, "opinion": config.opinion}
        what, _, reason = str(error).partition(":")
        raise ValueError(f"{path}, column '{columns.get(what, what)}':{reason}") from error
    values: dict[str, float | str | None] = {
        "n": found.n, "srcc": found.srcc, "krcc": found.krcc, "plcc": found.plcc,
        "plcc_logistic4": found.logistic4.plcc, "plcc_logistic5": found.logistic5.plcc,
    }  # fmt: skip
    for name, fit in (("plcc_logistic4", found.logistic4), ("plcc_logistic5", found.logistic5)):
        if fit.reason:
            values[f"{name}_reason"] = fit.reason
    sys.stdout.write(json.dumps(values, indent=2) + "\n" if config.json else _as_text(values))


def _as_text(values: dict[str, float | str | None]) -> str:
    lines = []
    for name, value in values.items():
        if name.endswith("_reason"):
            continue
        failed = f"failed: {values.get(f'{name}_reason')}"
        shown = failed if value is None else f"{value:.4f}" if isinstance(value, float) else value
        lines.append(f"{name:16}{shown}\n")
    return "".join(lines)


def read_columns(path: Path, *names: str) -> list[list[float]]:
    """Return columns of a CSV file as numbers.

    Raises:
        ValueError: in one line: no such file or column, a cell that is no finite number (with its line).
    """
    from lic.preferences.sets.listing import number, read_table

    if not path.is_file():
        raise ValueError(f"no file {path}")
    header, rows = read_table(path)
    columns = []
    for name in names:
        if name not in header:
            raise ValueError(f"{path}: {unknown('column', name, header)}")
        if header.count(name) > 1:
            raise ValueError(f"{path}: {header.count(name)} columns are called '{name}'")
        place = header.index(name)
        column = []
        for line, cells in rows:
            value = number(cells[place], path, line)
            if not math.isfinite(value):
                raise ValueError(f"{path}, line {line}: column '{name}' holds '{cells[place]}', no finite number")
            column.append(value)
        columns.append(column)
    return columns
