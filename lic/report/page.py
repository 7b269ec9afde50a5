"""One self-contained HTML page about results files: curves, tables, a viewer, and how each number came about.

    python -m lic report results/*.json -o report.html
    python -m lic report results/demo/*.json results/photos/*/*.json --reference jpeg --at_bpp 0.25 0.5 -o report.html

The page opens without network: its pictures are data URIs, and its scripts and styles (`lic/report/assets/`) are a few
hundred lines of its own, which draw SVG. It has a section for each dataset. Where `eval.py` has left `samples/` beside
a results file, a viewer compares the original and the codecs at matched rates (lic/report/samples.py says how many).
"""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from lic.curves.command import Parser, choose_reference, positive
from lic.curves.results import load_results

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="lead">Every image is coded to a real stream of bytes, decoded, and given to networks that never saw the codec.
The curves show how well these still do their task at each rate: further left is smaller, higher is better.</p>
{contents}</header>
{sections}
<script>
{script}</script>
</body>
</html>
"""


def main(argv: Sequence[str]) -> int:
    """Write the report of some results files.

    Args:
        argv: the words after `python -m lic report`.

    Returns:
        0, the exit code.
    """
    parser = Parser(prog="python -m lic report", description="Write one HTML page about results files.")
    parser.add_argument("results", nargs="+", type=Path, help="results files, as eval.py writes them; any datasets")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="the page (%(default)s)")
    parser.add_argument("--reference", metavar="NAME_OR_FILE", help="what codecs are compared with, as in `lic curves`")
    parser.add_argument("--at_bpp", nargs="+", type=positive, metavar="BPP", help="rates to show drops at")
    options = parser.parse_args(argv)
    try:
        page = build_report(options.results, options.reference, options.at_bpp)
        options.output.write_text(page, encoding="utf-8")
    except OSError as error:
        parser.error(f"cannot write '{options.output}': {error.strerror or error}; choose another --output")
    except ValueError as error:
        parser.error(str(error))
    print(f"report: {options.output} ({options.output.stat().st_size / 1e6:.2f} MB)")
    return 0


def build_report(paths: Sequence[Path], reference: str | None = None, at_bpp: Sequence[float] | None = None) -> str:
    """Return the page.

    Args:
        paths: results files.
        reference: what codecs are compared with, in every section; a name or a file, or the customary one.
        at_bpp: rates at which drops against the ceiling are shown.

    Raises:
        ValueError: a file is no results file, a sample is damaged, or a section lacks the reference.
    """
    # Late, so that --help and mistakes answer at once.
    from lic.report.section import section

    loaded = [(load_results(path), path) for path in dict.fromkeys(paths)]
    datasets = list(dict.fromkeys(each.dataset for each, _ in loaded))
    sections = []
    for index, dataset in enumerate(datasets):
        own = [(each, path) for each, path in loaded if each.dataset == dataset and each.points]
        if not own:
            raise ValueError(f"expected at least one operating point on '{dataset}', came none; evaluate a codec first")
        anchor = choose_reference([each for each, _ in own], [path for _, path in own], reference)
        if anchor.dataset != dataset:
            raise ValueError(f"--reference '{reference}' was measured on '{anchor.dataset}', not on '{dataset}'")
        if not any(each is anchor for each, _ in own):
            own.insert(0, (anchor, Path(str(reference))))
        sections.append(section(f"dataset-{index}", own, anchor, at_bpp))
    links = "".join(f'<li><a href="#dataset-{i}">{escape(name)}</a></li>' for i, name in enumerate(datasets))
    page = files("lic.report") / "assets"
    return _PAGE.format(
        title="Rate&ndash;task curves" if len(datasets) > 1 else f"Rate&ndash;task curves on {escape(datasets[0])}",
        style=(page / "page.css").read_text(encoding="utf-8"),
        contents=f"<ul>{links}</ul>\n" if len(datasets) > 1 else "",
        sections="\n".join(sections),
        script="".join((page / f"{name}.js").read_text(encoding="utf-8") for name in ("curves", "viewer", "page")),
    )
