"""Several seeds of one curve, joined into the one curve that figures and tables show."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from lic.curves.naming import Curve
from lic.curves.results import Point, Results, task_of


def merge_seeds(results: Sequence[Results]) -> list[Results]:
    """Return the results with the seeds of each curve averaged, at the place of the curve's first seed.

    Points of the same lmbda become one: rates, qualities, times and task scores are means over the seeds. The ends of
    a headline score's interval are the lowest low and the highest high of the seeds' own, so that a band covers both
    images and seeds; where the seeds have no interval, neither has their mean. A task that not all seeds were judged by
    is left out. What is no number (ceiling, environment, networks, command, settings) is the first seed's.

    Results without seeds, and curves of which there is one seed, are returned as they are.

    Raises:
        ValueError: the seeds of a curve have different lmbdas, or one of them is there twice.
    """
    return [_merge(group) if len(group) > 1 else group[0] for group in group_seeds(results)]


def group_seeds(results: Sequence[Results]) -> list[list[Results]]:
    """Return the results in groups: the seeds of one curve on one dataset together, any others alone.

    Raises:
        ValueError: as `merge_seeds`.
    """
    seeds: dict[tuple[Curve, str, str], list[Results]] = {}
    for each in results:
        if each.seed is not None:
            seeds.setdefault(_without_seed(each), []).append(each)
    groups: list[list[Results]] = []
    for each in results:
        own = seeds.get(_without_seed(each), []) if each.seed is not None else []
        if len({one.seed for one in own}) < 2:
            groups.append([each])
        elif own[0] is each:
            _check_seeds(own)
            groups.append(own)
    return groups


def check_grids(name: str, grids: Mapping[int, Iterable[float | None]]) -> None:
    """Refuse seeds of one curve that do not have the same operating points.

    Args:
        name: the curve's.
        grids: lmbdas by seed.
    """
    listed = {seed: ", ".join(f"{lmbda:g}" for lmbda in sorted(grid, key=float)) for seed, grid in grids.items()}  # type: ignore[arg-type]  # learned codecs have lmbdas
    (first, expected), *others = listed.items()
    for seed, found in others:
        if found != expected:
            raise ValueError(f"expected the same lmbdas of all seeds of {name}, came {expected} of seed {first} and "
                             f"{found} of seed {seed}; leave one out, or train it with another --label")  # fmt: skip


def _without_seed(results: Results) -> tuple[Curve, str, str]:
    return results.curve._replace(seed=None), results.dataset, results.protocol


def _check_seeds(group: Sequence[Results]) -> None:
    seeds = [each.seed for each in group]
    twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if twice is not None:
        raise ValueError(f"seed {twice} of {group[0].name} is there more than once; give each seed's results once")
    grids = {each.seed: [point.lmbda for point in each.points] for each in group if each.seed is not None}
    check_grids(group[0].name, grids)


def _merge(group: Sequence[Results]) -> Results:
    by_lmbda = [sorted(each.points, key=lambda point: point.lmbda or 0.0) for each in group]
    return replace(group[0], points=tuple(map(_mean_point, zip(*by_lmbda, strict=True))), seed=None)


def _mean_point(points: Sequence[Point]) -> Point:
    def mean(name: str) -> float:
        return fmean(getattr(point, name) for point in points)

    has_estimates = all(point.bpp_estimated is not None for point in points)
    is_pooled = all(point.bpp_pooled is not None for point in points)
    return replace(
        points[0],
        checkpoint=None,  # there are several
        replicates={},
        bpp=mean("bpp"),
        bpp_estimated=mean("bpp_estimated") if has_estimates else None,
        bpp_pooled=mean("bpp_pooled") if is_pooled else None,
        qualities={
            name: fmean(point.qualities[name] for point in points)
            for name in points[0].qualities
            if all(name in point.qualities for point in points)
        },
        encode_seconds=mean("encode_seconds"),
        decode_seconds=mean("decode_seconds"),
        tasks={
            task: _mean_scores(points[0].headlines[task_of(task)], [point.tasks[task] for point in points])
            for task in points[0].tasks
            if all(task in point.tasks for point in points)
        },
    )


def _mean_scores(headline: str, seeds: Sequence[dict[str, float]]) -> dict[str, float]:
    ends = {f"{headline}_low": min, f"{headline}_high": max}
    names = [name for name in seeds[0] if all(name in scores for scores in seeds)]
    merged = {}
    for name in names:
        values = [scores[name] for scores in seeds]
        is_measured = all(map(math.isfinite, values))
        merged[name] = ends[name](values) if name in ends and is_measured else fmean(values)
    return merged
