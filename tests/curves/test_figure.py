"""The rate-task figure."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from lic.curves.figure import draw_curves


def _has_colour(path: Path, colour: str) -> bool:
    with Image.open(path) as image:
        return bool((np.asarray(image.convert("RGB")) == ImageColor.getrgb(colour)).all(axis=2).any())


def test_learned_codecs_are_coloured_and_conventional_ones_grey(make_results: Any, tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    mse, mlclipsim = make_results([0.1, 0.2], [24, 27]), make_results([0.1, 0.2], [22, 25], distortion="mlclipsim")
    jpeg = make_results([0.3, 0.6], [24, 27], codec="jpeg", distortion=None, is_learned=False)
    draw_curves([mlclipsim, jpeg], path)
    assert _has_colour(path, "#D55E00") and not _has_colour(path, "#0072B2") and _has_colour(path, "#6f6f6f")
    draw_curves([mlclipsim, mse], path)
    assert _has_colour(path, "#D55E00") and _has_colour(path, "#0072B2")


@pytest.mark.parametrize("tasks", [[], ["coco-det"], ["coco-det", "imagenet-cls"]])
def test_any_number_of_tasks_and_a_single_point(make_results: Any, tmp_path: Path, tasks: list[str]) -> None:
    results = make_results([0.1], [24])
    point = replace(results.points[0], tasks={task: results.points[0].tasks[task] for task in tasks})
    ceiling = {task: results.ceiling[task] for task in tasks}
    draw_curves([replace(results, points=(point,), ceiling=ceiling)], tmp_path / "curves.png")
    assert _has_colour(tmp_path / "curves.png", "#D55E00")


def test_what_was_not_measured_is_left_out(make_results: Any, tmp_path: Path) -> None:
    results = make_results([0.1, 0.2], [24, 27])
    point = replace(results.points[0], qualities={"psnr": float("inf")}, tasks={})
    draw_curves([replace(results, points=(point,))], tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_nothing_to_draw_is_said(make_results: Any, tmp_path: Path) -> None:
    for results in ([], [make_results([], [])]):
        with pytest.raises(ValueError, match="expected at least one operating point"):
            draw_curves(results, tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_no_global_figure_is_left_open() -> None:
    code = "import sys, lic.curves.figure; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_networks_are_thin_lines_and_intervals_a_band(make_results: Any, tmp_path: Path) -> None:
    def coloured(name: str, **options: Any) -> int:
        draw_curves([make_results([0.1, 0.2, 0.4], [24, 27, 30], **options)], tmp_path / name)
        with Image.open(tmp_path / name) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        return int(((pixels[..., 0] - pixels[..., 2]) > 20).sum())  # the first codec's orange, in any strength

    assert coloured("several.png", networks=["a", "b", "c"]) > 2 * coloured("one.png")


def test_names_are_no_formulas(make_results: Any, tmp_path: Path) -> None:
    results = replace(make_results([0.1, 0.2], [24, 27]), dataset="8 images of $x_{^ \\bad$")
    draw_curves([results], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()
