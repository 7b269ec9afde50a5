"""Coders x images x tasks -> points of a rate-task curve: every image is coded to bytes, decoded, and judged once."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lic.curves.results import Point
from lic.distortions import MLCLIPSim
from lic.evaluation.coders import Coder
from lic.images import quantise, read_image, write_image
from lic.metrics import ms_ssim, psnr_db
from lic.tasks import Task

MAX_BATCH, MAX_BATCH_PX = 16, 2**20  # what networks see together; codecs get images singly


class Coded(NamedTuple):
    """What coding one image gave: 8-bit decoded image (1, 3, H, W), its rate and times."""

    reconstruction: Tensor
    bpp: float
    bpp_estimated: float | None
    encode_seconds: float
    decode_seconds: float


class _Qualities(NamedTuple):
    psnr_db: float
    ms_ssim: float
    mlclipsim: float


Progress = Callable[[int], None]
"""Called with the number of images done since the last call."""


def evaluate(
    coder: Coder,
    images: Sequence[Path],
    tasks: Sequence[Task],
    metric: MLCLIPSim,
    progress: Progress = lambda _: None,
    save_to: Path | None = None,
) -> Point:
    """Return the point that a coder reaches on images.

    Args:
        coder: the operating point.
        images: the files to code, no two alike.
        tasks: what judges the reconstructions; their images are among `images`.
        metric: ML-CLIPSim in eval mode.
        progress: told of the images done.
        save_to: folder that gets the decoded images as PNG.

    Raises:
        ValueError: an image that cannot be read, or a reconstruction that equals the original: tasks must never see
            originals.
    """
    coded: list[Coded] = []
    qualities: list[_Qualities] = []
    judges = _Judges(tasks, images)
    for paths, originals in _batches(images):
        results = [code(coder, image[None], path) for image, path in zip(originals, paths, strict=True)]
        reconstructions = torch.cat([result.reconstruction for result in results])
        judges.see(paths, reconstructions)
        qualities += _measure(reconstructions, originals, metric)
        coded += [result._replace(reconstruction=torch.empty(0)) for result in results]
        if save_to is not None:
            for path, result in zip(paths, results, strict=True):
                write_image(result.reconstruction, save_to / f"{path.stem}.png")
        progress(len(paths))
    estimates = [result.bpp_estimated for result in coded if result.bpp_estimated is not None]
    return Point(
        lmbda=coder.lmbda,
        quality=coder.quality,
        checkpoint=coder.checkpoint,
        bpp=_mean([result.bpp for result in coded]),
        bpp_estimated=_mean(estimates) if estimates else None,
        psnr_db=_mean([quality.psnr_db for quality in qualities]),
        ms_ssim=_mean([quality.ms_ssim for quality in qualities]),
        mlclipsim=_mean([quality.mlclipsim for quality in qualities]),
        encode_seconds=_mean([result.encode_seconds for result in coded]),
        decode_seconds=_mean([result.decode_seconds for result in coded]),
        num_images=len(images),
        tasks=judges.scores(),
    )


def uncompressed(images: Sequence[Path], tasks: Sequence[Task], progress: Progress = lambda _: None) -> "Ceiling":
    """Return the tasks' scores on the originals."""
    judges = _Judges(tasks, images)
    for paths, originals in _batches(images):
        judges.see(paths, originals)
        progress(len(paths))
    return judges.scores()


Ceiling = dict[str, dict[str, float]]


def code(coder: Coder, image: Tensor, path: Path) -> Coded:
    """Return what comes of one image, (1, 3, H, W), through real bytes.

    Raises:
        ValueError: the reconstruction has another size, or equals the original (one of a single colour may).
    """
    start = time.perf_counter()
    stream = coder.encode(image)
    encoded = time.perf_counter()
    reconstruction = quantise(coder.decode(stream))
    decoded = time.perf_counter()
    if reconstruction.shape != image.shape:
        sizes = f"{tuple(image.shape)} -> {tuple(reconstruction.shape)}"
        raise ValueError(f"{coder.codec} changed the size of {path}: {sizes}")
    if torch.equal(reconstruction, image) and not torch.equal(image, image[..., :1, :1].expand_as(image)):
        raise ValueError(f"{coder.codec} gave back the original of {path}: a task must not see originals")
    bpp = 8 * len(stream) / image[0, 0].numel()
    return Coded(reconstruction, bpp, coder.estimate_bpp(image), encoded - start, decoded - encoded)


def _measure(reconstructions: Tensor, originals: Tensor, metric: MLCLIPSim) -> list[_Qualities]:
    device = metric.layer_weights.device
    with torch.no_grad():
        similarity = metric(reconstructions.to(device), originals.to(device)).cpu()
    columns = (psnr_db(reconstructions, originals), ms_ssim(reconstructions, originals), similarity)
    return [_Qualities(*map(float, row)) for row in zip(*columns, strict=True)]


class _Judges:
    """Collects each task's predictions on its own images, whatever the order in which images come."""

    def __init__(self, tasks: Sequence[Task], images: Sequence[Path]) -> None:
        self.tasks = tasks
        self._positions = [{path.resolve(): i for i, path in enumerate(task.images)} for task in tasks]
        self._predictions: list[list[object]] = [[None] * len(task.images) for task in tasks]
        coded = {path.resolve() for path in images}
        missing = [path for positions in self._positions for path in positions if path not in coded]
        assert not missing, f"task images that nobody codes: {missing[:3]}"

    def see(self, paths: Sequence[Path], images: Tensor) -> None:
        """Let every task predict on those of the images, (N, 3, H, W), that are its own."""
        for task, positions, predictions in zip(self.tasks, self._positions, self._predictions, strict=True):
            own = [i for i, path in enumerate(paths) if path.resolve() in positions]
            if own:
                for i, prediction in zip(own, task.predict(images[own]), strict=True):
                    predictions[positions[paths[i].resolve()]] = prediction

    def scores(self) -> Ceiling:
        """Return each task's scores by its name."""
        return {task.name: task.score(p, ()) for task, p in zip(self.tasks, self._predictions, strict=True)}


def _batches(images: Sequence[Path]) -> Iterator[tuple[list[Path], Tensor]]:
    """Yield neighbours of one size with their pixels, (N, 3, H, W)."""
    paths: list[Path] = []
    pixels: list[Tensor] = []
    for path in images:
        image = read_image(path)
        is_full = (len(paths) + 1) * image[0, 0].numel() > MAX_BATCH_PX or len(paths) == MAX_BATCH
        if paths and (is_full or image.shape != pixels[0].shape):
            yield paths, torch.cat(pixels)
            paths, pixels = [], []
        paths.append(path)
        pixels.append(image)
    if paths:
        yield paths, torch.cat(pixels)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
