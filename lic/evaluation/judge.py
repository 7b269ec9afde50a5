"""What a training hands its checkpoint to: the validation images coded to bytes, decoded, judged, compared, drawn."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torchvision.utils import save_image

from lic.codecs import load_codec
from lic.curves.figure import draw_curves
from lic.curves.naming import file_stems
from lic.curves.results import Results, save_results
from lic.data.crops import split_folder
from lic.device import Precision
from lic.distortions import build_mlclipsim
from lic.evaluation.coders import Coder, LearnedCoder
from lic.evaluation.evaluate import code
from lic.evaluation.rate_task import RateTask, describe_folder, group_by_dataset, readable
from lic.images import crop_to, list_images, pad_at_least, read_image
from lic.settings.train import TrainConfig
from lic.tasks import build_tasks

GRID_IMAGES = 8


class Judge:
    """The rate-task evaluation of a training's validation images."""

    def __init__(self, config: TrainConfig, device: torch.device, precision: Precision) -> None:
        self.device, self.tile_px = device, config.crop_px
        metric = build_mlclipsim(config.mlclipsim).to(device)
        if config.data == "folder":
            folder = Path(str(config.data_root)).expanduser()
            images = readable(split_folder(list_images(folder))[1][: config.limit])
            self.rate_task = RateTask(describe_folder(folder, images), images, [], metric)
        else:
            ((dataset, images, tasks),) = group_by_dataset(build_tasks(config.task, [], None, device, config.limit))
            self.rate_task = RateTask(dataset, images, tasks, metric)
        self.rate_task.config = dataclasses.asdict(config) | {"precision": str(precision)}
        _ = self.rate_task.ceiling  # whatever is missing shows before the training, not after it

    def __call__(self, checkpoint: Path, folder: Path, is_final: bool) -> Sequence[Results]:
        """Return the results of a checkpoint's operating points, with JPEG and WebP at the nearest rates if final.

        Args:
            checkpoint: a codec's .safetensors.
            folder: gets results JSONs, curves.png and reconstructions.png (originals above, reconstructions below).
            is_final: whether to compare with JPEG and WebP too.
        """
        loaded = load_codec(checkpoint)
        self.rate_task.folder = folder if is_final else None  # for samples
        coders: list[Coder] = [LearnedCoder(loaded, lmbda, self.device) for lmbda in loaded.header.lmbda]
        results = self.rate_task.results(coders)
        if is_final:
            middle = results[0].points[len(results[0].points) // 2]
            results += self.rate_task.results(self.rate_task.comparable(("jpeg", "webp"), middle.bpp))
        write_results(results, folder)
        draw_grid(coders[len(coders) // 2], self.rate_task, self.tile_px, folder / "reconstructions.png")
        return results


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


def draw_grid(coder: Coder, rate_task: RateTask, tile_px: int, path: Path) -> None:
    """Write a PNG of the first images' top left tiles, originals above their reconstructions."""
    rows: list[list[torch.Tensor]] = [[], []]
    for image_path in rate_task.images[:GRID_IMAGES]:
        image = read_image(image_path)
        reconstruction = code(coder, image, image_path).reconstruction
        for row, shown in zip(rows, (image, reconstruction), strict=True):
            row.append(crop_to(pad_at_least(shown, tile_px), tile_px, tile_px)[0])
    save_image(torch.stack(rows[0] + rows[1]), path, nrow=len(rows[0]))
