"""One self-contained HTML page about results files.

Its pictures are data URIs, and its scripts and styles (`lic/report/assets/`) are a few hundred lines of its own, which
draw SVG. It has a section for each dataset. Where `eval.py` has left `samples/` beside a results file, a viewer
compares the original and the codecs at matched rates (lic/report/samples.py says how many).
"""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from lic.curves.files import load_results
from lic.curves.reference import choose_reference
from lic.curves.results import check_protocols
from lic.settings.names import FitName

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


def build_report(
    paths: Sequence[Path],
    reference: str | None = None,
    at_bpp: Sequence[float] | None = None,
    fit: FitName | None = None,
) -> str:
    """Return the page.

    Args:
        paths: results files.
        reference: what codecs are compared with, in every section; a name or a file, or the customary one.
        at_bpp: rates at which drops against the ceiling are shown.
        fit: adds BD-rates with curves that do not rise fitted.

    Raises:
        ValueError: a file is no results file, a sample is damaged, or a section lacks the reference.
    """
    # Late, so that --help and mistakes answer at once.
    from lic.report.section import section

    loaded = [(load_results(path), path) for path in dict.fromkeys(paths)]
    datasets = list(dict.fromkeys(each.dataset for each, _ in loaded))
    shown = list(dict.fromkeys(each.data for each, _ in loaded))
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
        check_protocols([each for each, _ in own])
        sections.append(section(f"dataset-{index}", own, anchor, at_bpp, fit))
    links = "".join(f'<li><a href="#dataset-{i}">{escape(name)}</a></li>' for i, name in enumerate(shown))
    page = files("lic.report") / "assets"
    return _PAGE.format(
        title="Rate&ndash;task curves" if len(datasets) > 1 else f"Rate&ndash;task curves on {escape(shown[0])}",
        style=(page / "page.css").read_text(encoding="utf-8"),
        contents=f"<ul>{links}</ul>\n" if len(datasets) > 1 else "",
        sections="\n".join(sections),
        script="".join((page / f"{name}.js").read_text(encoding="utf-8") for name in ("curves", "viewer", "page")),
    )
