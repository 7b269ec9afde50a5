"""The points of a curve that no cheaper one equals: what is left of several sizes and QPs for an anchor."""

import math
from dataclasses import replace

from lic.curves.results import Results, facts_of


def on_front(results: Results) -> Results:
    """Return results with each score kept at the points where no cheaper point has as good a one.

    Which size is best differs from task to task, and so do the points: a score elsewhere is left out, as if it had not
    been measured, and a point without any score is left out altogether.
    """
    names = dict.fromkeys(name for point in results.points for name in (*point.qualities, *point.tasks))
    kept = {name: _front(results, name) for name in names}
    points = []
    for i, point in enumerate(results.points):
        qualities = {name: value for name, value in point.qualities.items() if i in kept[name]}
        tasks = {name: scores for name, scores in point.tasks.items() if i in kept[name]}
        replicates = {name: drawn for name, drawn in point.replicates.items() if i in kept[name]}
        if qualities or tasks or not names:
            points.append(replace(point, qualities=qualities, tasks=tasks, replicates=replicates))
    return replace(results, points=tuple(points))


def _front(results: Results, name: str) -> set[int]:
    """Return the positions of the points, which are sorted by rate, that are better than all cheaper ones."""
    sign = -1.0 if facts_of([results], name).is_lower_better else 1.0
    best, kept = -math.inf, set[int]()
    rows = [(point.bpp, -sign * point.score(name), i) for i, point in enumerate(results.points)]
    for _, value, i in sorted(row for row in rows if math.isfinite(row[1])):  # of equal rates the best first
        if -value > best:
            best = -value
            kept.add(i)
    return kept
