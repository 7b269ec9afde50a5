"""The rate-task figure: one panel for each task and quality, over bits per pixel."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lic.atomic import replacing
from lic.curves.looks import looks
from lic.curves.results import Results, facts_of, list_networks, list_qualities, list_tasks
from lic.curves.seeds import merge_seeds

_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
_INK = "#333333"

STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "text.parse_math": False,  # names are text, though they hold a $
    "text.color": _INK,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#666666",
    "ytick.color": "#666666",
}


def draw_curves(results: Sequence[Results], path: Path | str) -> None:
    """Draw quality over rate as a PNG: the headline score of each task, PSNR, ML-CLIPSim and other metrics.

    Of several datasets each has panels for its tasks alone, with the networks that judged named below the title.

    Learned codecs are coloured lines, conventional ones dashed and grey, single points markers without a line; the
    uncompressed images are a thin dashed ceiling. Where several networks judged a task, thin lines are the networks'
    and the bold one is their mean. Bands are bootstrap intervals over images. Seeds of one curve are drawn as their
    mean, with a band from the lowest end of the seeds' intervals to the highest: it covers images and seeds. The rate
    axis is logarithmic: equal savings are equal distances.

    Args:
        results: at least one codec.
        path: the PNG to write; its folder exists.

    Raises:
        ValueError: there is no point to draw.
        OSError: the folder is missing or cannot be written.
    """
    results = merge_seeds(results)
    if not any(each.points for each in results):
        raise ValueError("expected at least one operating point to draw, came none; evaluate a codec first")
    datasets = list(dict.fromkeys(each.dataset for each in results))
    is_one = len(datasets) == 1
    by_set = [[each for each in results if each.dataset == dataset] for dataset in datasets]
    panels = [(group, quality) for group in by_set
              for quality in (*list_tasks(group), *(_drawn(group) if is_one or not list_tasks(group) else ()))]
    num_columns = {2: 2, 4: 2}.get(len(panels), 3)
    num_rows = math.ceil(len(panels) / num_columns)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, hspace=0.04, wspace=0.04)
    with rc_context(STYLE):
        figure = Figure(figsize=(3.7 * num_columns + 0.3, 2.9 * num_rows + 0.9), dpi=150, layout=layout)
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
        lines = _lines(results)
        for axis, (group, quality) in zip(axes, panels, strict=False):
            own = [line for each, line in zip(results, lines, strict=True) if each.dataset == group[0].dataset]
            _draw_panel(axis, group, own, quality)
            if not is_one:
                _name_set(axis, group, quality)
        for axis in axes[max(0, len(panels) - num_columns) : len(panels)]:
            axis.set_xlabel("bits per pixel")
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        _draw_legend(figure, axes[len(panels) :], list({line.get_label(): line for line in lines}.values()))
        title = f"Rate-task curves on {results[0].data}" if is_one else "Rate-task curves"
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        with replacing(Path(path)) as temporary:
            figure.savefig(temporary, format="png", facecolor="white")


def _drawn(results: Sequence[Results]) -> list[str]:
    """Return the metrics that have a panel: PSNR, and those measured but MS-SSIM, unless there is nothing else."""
    points = [point for each in results for point in each.points]
    measured = [name for name in list_qualities(results) if any(math.isfinite(point.score(name)) for point in points)]
    return [name for name in list_qualities(results) if name == "psnr" or (name in measured and name != "ms-ssim")] or (
        measured if not list_tasks(results) else []
    )


def _lines(results: Sequence[Results]) -> list[Line2D]:
    """Return the look of each curve, the same in every panel and in the legend."""
    lines = []
    for codec, look in zip(results, looks(results), strict=True):
        line = Line2D([], [], label=codec.name, color=look.colour, linestyle=(0, look.dashes) if look.dashes else "-")
        if codec.is_learned:
            line.set(linewidth=2, markersize=6, markeredgecolor="white", zorder=3)
            line.set_marker(_MARKERS[look.order % len(_MARKERS)])
        else:
            line.set(linewidth=1.6, markersize=6, marker=".")
        if len(codec.points) == 1:
            line.set_linestyle("")
        lines.append(line)
    return lines


def _draw_panel(axis: Axes, results: Sequence[Results], lines: Sequence[Line2D], quality: str) -> None:
    facts = facts_of(results, quality)
    for each, line in zip(results, lines, strict=True):
        for name in list_networks([each], quality):
            thin = _curve(each, line, name, facts.factor)
            thin.set(linewidth=0.7, marker="", alpha=0.6, zorder=1)
            axis.add_line(thin)
        axis.add_line(_curve(each, line, quality, facts.factor))
        band = [(p.bpp, *(facts.factor * end for end in ends)) for p in each.points if (ends := p.interval(quality))]
        bpp, low, high = zip(*band, strict=True) if band else ((), (), ())
        axis.fill_between(bpp, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axis.relim()
    axis.autoscale_view()
    axis.set_title(facts.title, loc="left", fontsize=10.5, fontweight="bold")
    axis.yaxis.set_major_locator(MaxNLocator(6))
    _scale_rate(axis, [point.bpp for each in results for point in each.points])
    ceilings = {each.ceiling_score(quality) for each in results if quality in each.ceiling}
    for ceiling in ceilings:
        axis.axhline(facts.factor * ceiling, color=_INK, linestyle=(0, (7, 3)), linewidth=1)
        across = axis.get_yaxis_transform()
        place = (0.01, facts.factor * ceiling)
        axis.annotate("uncompressed", place, (0, 3), xycoords=across, textcoords="offset points", fontsize=8)
    if ceilings:
        axis.margins(y=0.1)


def _name_set(axis: Axes, group: Sequence[Results], quality: str) -> None:
    """Say below a panel's title on what and by which networks."""
    networks = [network.partition("_")[0] for network in group[0].networks.get(quality, [])]
    words = f"{group[0].data}; {', '.join(networks)}" if networks else group[0].data
    axis.set_title(f"{axis.get_title(loc='left')}\n", loc="left", fontsize=10.5, fontweight="bold")
    axis.annotate(words, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=8)


def _curve(results: Results, line: Line2D, name: str, factor: float) -> Line2D:
    """Return the measured points of one quality in the look of a line."""
    pairs = [(p.bpp, factor * p.score(name)) for p in results.points if math.isfinite(p.score(name))]
    curve = Line2D([bpp for bpp, _ in pairs], [value for _, value in pairs])
    curve.update_from(line)
    return curve


def _scale_rate(axis: Axes, bpps: Sequence[float]) -> None:
    """Make the rate axis logarithmic, at least a factor of four wide, with ticks at round numbers."""
    low, high = min(bpps) / 1.15, max(bpps) * 1.15
    widen = max(1.0, math.sqrt(4 * low / high))
    low, high = low / widen, high * widen
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    steps = (1, 2, 5) if high / low > 8 else (1, 1.5, 2, 3, 4, 5, 7)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    axis.xaxis.set_major_locator(FixedLocator([step * 10.0**decade for decade in decades for step in steps]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda bpp, _: f"{bpp:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


def _draw_legend(figure: Figure, free: Sequence[Axes], lines: Sequence[Line2D]) -> None:
    """Put the legend into the first free panel, or below the figure."""
    if free:
        free[0].legend(handles=lines, loc="center left", frameon=False, fontsize=10, handlelength=3, labelspacing=0.9)
    else:
        figure.legend(handles=lines, loc="outside lower left", frameon=False, ncols=min(len(lines), 3), handlelength=3)
