"""An evaluation's files: results, figure, and a grid of what was decoded."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torchvision.utils import save_image

from lic.atomic import replacing
from lic.curves.figure import draw_curves
from lic.curves.files import save_results
from lic.curves.naming import file_stems
from lic.curves.results import Results
from lic.evaluation.rate_task import RateTask
from lic.images import crop_to, pad_at_least, read_image

GRID_IMAGES, TILE_PX = 8, 128


def write_results(results: Sequence[Results], folder: Path) -> list[Path]:
    """Write a JSON for each of the results of one dataset, and curves.png, into a folder; return the JSONs' paths.

    Each seed has a file of its own; the seed is in its name where there are several of the curve.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.json" for stem in file_stems([result.curve for result in results])]
    for result, path in zip(results, paths, strict=True):
        save_results(result, path)
    draw_curves(results, folder / "curves.png")
    return paths


def draw_grid(rate_task: RateTask, results: Results, path: Path) -> None:
    """Write a PNG of the samples' top left tiles, originals above what the codec's middle point made of them.

    Args:
        rate_task: whose samples were written when `results` were measured.
        results: of one codec.
        path: the PNG.
    """
    point = results.points[len(results.points) // 2]
    rows: list[list[torch.Tensor]] = [[], []]
    for original, reconstruction in rate_task.sample_files(results.curve, point)[:GRID_IMAGES]:
        for row, file in zip(rows, (original, reconstruction), strict=True):
            row.append(crop_to(pad_at_least(read_image(file), TILE_PX), TILE_PX, TILE_PX)[0])
    with replacing(path) as temporary:
        save_image(torch.stack(rows[0] + rows[1]), temporary, format="png", nrow=len(rows[0]))
