"""The benchmark as a figure: one panel for each set, metrics from best to worst with their intervals."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lic.atomic import replacing
from lic.curves.figure import STYLE
from lic.curves.looks import COLOURS, GREYS
from lic.preferences.benchmark.followed import MAJORITY, OVERALL
from lic.preferences.benchmark.tables import TITLES, Part

CHANCE = 0.5
MAX_CHARACTERS = 28


def draw_benchmark(parts: Sequence[Part], path: Path, no_reference: set[str]) -> None:
    """Draw the headline statistic of every metric on every set as a PNG.

    Bars are 95 % intervals. Of comparisons, lines are chance and what the majority's side always gets.

    Args:
        parts: of the sets.
        path: the PNG to write; its folder exists.
        no_reference: metrics that look at one image alone, which are drawn hollow.
    """
    num_columns = min(len(parts), 3)
    num_rows = math.ceil(len(parts) / num_columns)
    most = max(len(part.ranked()) for part in parts)
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4 * num_columns + 0.3, (0.3 * most + 1.0) * num_rows + 0.3), dpi=150,
                        layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))  # fmt: skip
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
        for axis, part in zip(axes, parts, strict=False):
            _draw_panel(axis, part, no_reference)
        for axis in axes[len(parts) :]:
            axis.set_axis_off()
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", facecolor="white")


def _draw_panel(axis: Axes, part: Part, no_reference: set[str]) -> None:
    found = [part.find(metric, OVERALL, part.headline) for metric in part.ranked() if metric != MAJORITY]
    rows = [(row, row.value) for row in found if row is not None and row.value is not None]
    for place, (row, value) in enumerate(rows):
        metric = row.metric
        colour = COLOURS[0] if metric.startswith("ML-CLIPSim") else COLOURS[1]
        if row.low is not None and row.high is not None:
            axis.plot([row.low, row.high], [place, place], color=colour, linewidth=1.6, alpha=0.6, zorder=2)
        inside = "white" if metric in no_reference else colour
        axis.plot([value], [place], "o", markersize=6, color=colour, markerfacecolor=inside, zorder=3)
    if part.headline == "2afc":
        _draw_line(axis, CHANCE, "chance", (5, 2))
        bound = part.find(MAJORITY, OVERALL, part.headline)
        if bound is not None and bound.value is not None:
            _draw_line(axis, bound.value, "majority", (1, 0))
    axis.set_yticks(range(len(rows)), [_shortened(row.metric) for row, _ in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(TITLES[part.headline])
    axis.set_title(part.title.replace(": ", "\n", 1), loc="left", fontsize=10, fontweight="bold")


def _draw_line(axis: Axes, value: float, name: str, dashes: tuple[float, float]) -> None:
    """Draw a vertical line with its name beside its foot."""
    axis.axvline(value, color=GREYS[0], linestyle=(0, dashes), linewidth=1)
    axis.annotate(name, (value, 0.02), (-3, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
                  ha="right", fontsize=8)  # fmt: skip


def _shortened(name: str) -> str:
    """Return a name whose middle is left out where it is long: variants differ at the end."""
    half = MAX_CHARACTERS // 2
    return name if len(name) <= MAX_CHARACTERS else f"{name[: half - 1]}…{name[-half:]}"
