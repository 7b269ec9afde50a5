"""The front of several sizes and QPs: each score at the points where no cheaper one is as good."""

import math
from dataclasses import replace
from typing import Any

from lic.curves.bjontegaard_delta import bd_rate
from lic.curves.front import on_front
from lic.curves.table import markdown_table


def scaled(make_results: Any) -> Any:
    """Full size at three rates, and half size, which is better below .2 bpp in one task and nowhere in PSNR."""
    whole = make_results([0.1, 0.2, 0.4], [24, 27, 30], "vtm-scaled", None, is_learned=False)
    half = make_results([0.06, 0.12, 0.25], [20, 23.5, 25], "vtm-scaled", None, is_learned=False)
    points = [replace(point, scale_percent=100) for point in whole.points]
    for point, ap in zip(half.points, (0.22, 0.26, 0.265), strict=True):
        tasks = {**point.tasks, "coco-det": {"ap": ap, "ap50": 0.5}}
        points.append(replace(point, tasks=tasks, scale_percent=50, replicates={"coco-det": [ap]}))
    return replace(whole, points=tuple(points))


def test_each_score_has_its_own_front(make_results: Any) -> None:
    front = on_front(scaled(make_results))
    kept = {name: [point.bpp for point in front.points if math.isfinite(point.score(name))]
            for name in ("coco-det", "psnr", "imagenet-cls")}  # fmt: skip
    # box AP is .24, .27, .30 at full size
    assert kept["coco-det"] == [0.06, 0.1, 0.12, 0.2, 0.4]
    assert kept["psnr"] == kept["imagenet-cls"] == [0.06, 0.1, 0.2, 0.4]
    assert [point.bpp for point in front.points] == [0.06, 0.1, 0.12, 0.2, 0.4], "at .25 nothing was best"
    assert [point.scale_percent for point in front.points] == [50, 100, 50, 100, 100]
    assert front.points[2].tasks.keys() == {"coco-det"} and front.points[2].qualities == {}
    table = markdown_table([front])
    assert "| vtm-scaled | q 20, 50 % | 0.120 | - |" in table and "q 10, 100 %" in table


def test_less_is_better_for_distances(make_results: Any) -> None:
    results = scaled(make_results)
    points = tuple(replace(point, qualities={"lpips": 1 / point.score("psnr")}) for point in results.points)
    front = on_front(replace(results, points=points))
    assert [point.bpp for point in front.points if math.isfinite(point.score("lpips"))] == [0.06, 0.1, 0.2, 0.4]


def test_bd_rate_is_against_the_front(make_results: Any) -> None:
    """A codec that lies on the front needs as many bits."""
    front = on_front(scaled(make_results))
    delta = bd_rate(front, replace(front, codec="same"), "coco-det")
    assert delta.value is not None and abs(delta.value) < 1e-9 and delta.note == ""
