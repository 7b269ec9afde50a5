"""Draw and tabulate results files.

    python -m lic curves results/*.json
    python -m lic curves results/*.json --out curves.png --reference jpeg --at_bpp 0.25 0.5

A mistake is one line on stderr and exit code 2.
"""

import argparse
import math
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from lic.curves.results import Results, load_results
from lic.curves.seeds import group_seeds


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
    parser = Parser(prog="python -m lic curves", description="Draw and tabulate results files; print BD-rates.")
    parser.add_argument("results", nargs="+", type=Path, help="results files, as eval.py writes them; one dataset")
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="the figure to write (%(default)s)")
    parser.add_argument(
        "--reference",
        metavar="NAME_OR_FILE",
        help="what BD-rates compare with: a curve's name as in the tables, its codec, what that was trained for, or a "
        "results file (the first one trained for mse, else jpeg, else the first)",
    )
    parser.add_argument("--at_bpp", nargs="+", type=positive, metavar="BPP", help="rates to show drops at")
    options = parser.parse_args(argv)
    try:
        _show(options.results, options.out, options.reference, options.at_bpp)
    except ValueError as error:
        parser.error(str(error))
    return 0


def _show(paths: Sequence[Path], out: Path, reference_name: str | None, at_bpp: Sequence[float] | None) -> None:
    results = [load_results(path) for path in paths]
    reference = choose_reference(results, paths, reference_name)
    if not any(each is reference for each in results):
        results.insert(0, reference)
    _check_datasets(results)
    if out.suffix.lower() != ".png":
        raise ValueError(f"expected --out to end in .png, came '{out}'")

    # Late, so that --help and mistakes answer at once.
    from lic.curves.figure import draw_curves
    from lic.curves.table import print_bd_rates, print_drops, print_results

    try:
        draw_curves(results, out)
    except OSError as error:
        raise ValueError(f"cannot write '{out}': {error.strerror or error}; choose another --out") from error
    print_results(results)
    if len(results) > 1:
        print_bd_rates(reference, results)
    print_drops(results, at_bpp)
    print(f"figure: {out}")


def positive(word: str) -> float:
    """Return a positive number of bits per pixel."""
    bpp = float(word)
    if not 0 < bpp < math.inf:
        raise argparse.ArgumentTypeError(f"expected positive numbers of bits per pixel, came {word}")
    return bpp


def choose_reference(results: Sequence[Results], paths: Sequence[Path], name: str | None) -> Results:
    """Return the results with this name or from this file; without a name, the customary reference.

    Of several seeds it is the first, which stands for all of them.
    """
    if name is None:
        trained_for_mse = [each for each in results if each.distortion == "mse"]
        trained_for_mse.sort(key=lambda each: each.label is not None)  # without a label: as anybody would train it
        jpeg = [each for each in results if each.codec == "jpeg"]
        return (trained_for_mse or jpeg or list(results))[0]
    for called in ("name", "codec", "recipe"):
        curves = group_seeds([each for each in results if name == getattr(each.curve, called)])
        if len(curves) > 1:
            raise ValueError(f"--reference '{name}' fits {len(curves)} of the results; give its file instead")
        if curves:
            return curves[0][0]
    if Path(name).is_file():
        same = [each for each, path in zip(results, paths, strict=True) if path.resolve() == Path(name).resolve()]
        return same[0] if same else load_results(name)
    names = list(dict.fromkeys(each.name for each in results))
    nearest = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    raise ValueError(f"--reference '{name}' is neither a file nor a codec here{hint} Choose from: {', '.join(names)}")


def _check_datasets(results: Sequence[Results]) -> None:
    """Refuse results from several datasets: neither their rates nor their scores can be compared."""
    datasets = list(dict.fromkeys(each.dataset for each in results))
    if len(datasets) > 1:
        listed = "; ".join(f"'{dataset}'" for dataset in datasets)
        raise ValueError(f"expected results on one dataset, came {listed}; call this once for each")
