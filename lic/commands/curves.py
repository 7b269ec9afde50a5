"""Draw and tabulate results files, with BD-rates; seeds become one curve.

    python -m lic curves results/*.json
    python -m lic curves results/*.json --output curves.png --reference jpeg --at_bpp 0.25 0.5 --fit mpeg
    python -m lic curves runs/kodak/*.json --curve compressai.json theirs.csv:Theirs --export compressai runs/theirs

A mistake is one line on stderr and exit code 2.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args

from lic.cli import KEEP_LINES
from lic.curves.files import load_results
from lic.curves.reference import by_dataset
from lic.settings.names import FitName


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with one line, without the usage that argparse would print first."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(argv: Sequence[str]) -> int:
    """Draw the rate-task figure of some results files, print their table and their BD-rates; seeds become one curve.

    Args:
        argv: the words after `python -m lic curves`.

    Returns:
        0, the exit code.
    """
    parser = Parser(prog="lic curves", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("results", nargs="+", type=Path, help="results files, as eval.py writes them; any datasets")
    parser.add_argument("-o", "--output", type=Path, default=Path("curves.png"), help="the figure (%(default)s)")
    parser.add_argument(
        "--reference",
        metavar="NAME_OR_FILE",
        help="what BD-rates compare with: a curve's name as in the tables, its codec, what that was trained for, or a "
        "results file (the first one trained for mse, else jpeg, else the first)",
    )
    parser.add_argument("--at_bpp", nargs="+", type=positive, metavar="BPP", help="rates to show drops at")
    parser.add_argument(
        "--fit", choices=get_args(FitName),
        help="also show BD-rates in tasks as MPEG's tests take them: a curve that does not rise is fitted by a "
        "monotone cubic, in place of leaving points out",
    )  # fmt: skip
    parser.add_argument(
        "--curve", nargs="+", default=[], metavar="FILE[:NAME]",
        help="other people's curves on the same datasets: CompressAI's JSON and its variants, CSV (bpp,top1), results",
    )  # fmt: skip
    parser.add_argument(
        "--export", nargs=2, metavar=("compressai", "FOLDER"), help="also write the curves as CompressAI's JSON"
    )
    options = parser.parse_args(argv)
    try:
        _show(options)
    except ValueError as error:
        parser.error(str(error))
    return 0


def _show(options: argparse.Namespace) -> None:
    out: Path = options.output
    if out.suffix.lower() != ".png":
        raise ValueError(f"expected --output to end in .png, came '{out}'")
    form, folder = options.export or ("compressai", "")
    if form != "compressai":
        raise ValueError(f"expected --export compressai FOLDER, came the format '{form}'")

    # Late, so that --help and mistakes answer at once.
    from lic.curves.figure import draw_curves
    from lic.curves.published import export_compressai, read_curves
    from lic.curves.table import print_bd_rates, print_drops, print_results

    own = [(load_results(path), path) for path in options.results]
    theirs = [(each, Path(spec)) for spec in options.curve for each in read_curves(spec, [each for each, _ in own])]
    groups = by_dataset([*own, *theirs], options.reference)
    try:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            print(f"exported: {', '.join(map(str, export_compressai([each for each, _ in own], Path(folder))))}")
        draw_curves([each for _, group in groups for each in group], out)
    except OSError as error:
        path = error.filename or out
        raise ValueError(f"cannot write '{path}': {error.strerror or error}; choose another place") from error
    for reference, group in groups:
        print_results(group)
        if len(group) > 1:
            print_bd_rates(reference, group, fit=options.fit)
        print_drops(group, options.at_bpp)
    print(f"figure: {out}")


def positive(word: str) -> float:
    """Return a positive number of bits per pixel."""
    bpp = float(word)
    if not 0 < bpp < math.inf:
        raise argparse.ArgumentTypeError(f"expected positive numbers of bits per pixel, came {word}")
    return bpp
