"""Write one HTML page about results files: curves, tables, a viewer; it opens without network.

    python -m lic report results/*.json -o report.html
    python -m lic report results/demo/*.json results/photos/*/*.json --reference jpeg --at_bpp 0.25 0.5 -o report.html

Its pictures are data URIs, and its scripts and styles (`lic/report/assets/`) are a few
hundred lines of its own, which draw SVG. It has a section for each dataset. Where `eval.py` has left `samples/` beside
a results file, a viewer compares the original and the codecs at matched rates (lic/report/samples.py says how many).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from lic.atomic import write_file
from lic.cli import KEEP_LINES
from lic.commands.curves import Parser, positive
from lic.report.page import build_report
from lic.settings.names import FitName


def main(argv: Sequence[str]) -> int:
    """Write the report of some results files.

    Args:
        argv: the words after `python -m lic report`.

    Returns:
        0, the exit code.
    """
    parser = Parser(prog="lic report", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("results", nargs="+", type=Path, help="results files, as eval.py writes them; any datasets")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="the page (%(default)s)")
    parser.add_argument("--reference", metavar="NAME_OR_FILE", help="what codecs are compared with, as in `lic curves`")
    parser.add_argument("--at_bpp", nargs="+", type=positive, metavar="BPP", help="rates to show drops at")
    parser.add_argument("--fit", choices=get_args(FitName), help="as in `lic curves`")
    options = parser.parse_args(argv)
    try:
        page = build_report(options.results, options.reference, options.at_bpp, options.fit)
        write_file(page, options.output)
    except OSError as error:
        parser.error(f"cannot write '{options.output}': {error.strerror or error}; choose another --output")
    except ValueError as error:
        parser.error(str(error))
    print(f"report: {options.output} ({options.output.stat().st_size / 1e6:.2f} MB)")
    return 0
