"""Coders x images x tasks -> points of a rate-task curve: every image is coded to bytes, decoded, and judged once."""

import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from lic.atomic import write_file
from lic.curves.results import Point
from lic.evaluation.coders import Coder
from lic.evaluation.measure import Measures
from lic.evaluation.protocols import FILE, Protocol
from lic.evaluation.records import WHOLE, Measured, Record, Records, Shard
from lic.images import image_size, quantise, read_image, write_image
from lic.tasks import Task

MAX_BATCH, MAX_BATCH_PX = 16, 2**20  # what networks see together; codecs get images singly

Progress = Callable[[int, int], None]
"""Called with the number of images done, and of those that this process has to do."""

Scores = dict[str, dict[str, float]]
OwnImages = Sequence[tuple[Task, frozenset[Path]]]


class Coded(NamedTuple):
    """What coding one picture gave: what networks see, (1, 3, H, W) on the 8-bit grid, its rate and times."""

    reconstruction: Tensor
    bpp: float
    bpp_estimated: float | None
    encode_seconds: float
    decode_seconds: float


def evaluate(
    coder: Coder,
    batches: Sequence[list[Path]],
    tasks: Sequence[Task],
    measures: Measures,
    records: Records,
    shard: Shard = WHOLE,
    progress: Progress = lambda *_: None,
    samples: dict[Path, Path] | None = None,
    protocol: Protocol = FILE,
) -> list[Record]:
    """Return what became of each image, after coding and judging those of which there is no record yet.

    Args:
        coder: the operating point.
        batches: the files to code, no two alike, as `plan_batches` returns them.
        tasks: what judges the reconstructions.
        measures: what is measured of reconstructions.
        records: of this coder, these images and tasks.
        shard: this process's part of the work; all of it is returned.
        progress: told of the images done.
        samples: images whose reconstructions are kept: PNG files to write, each with a JSON of what was measured.
        protocol: what is coded of the files.

    Raises:
        ValueError: an image that cannot be read, or a reconstruction that equals the original: tasks must never see
            originals.
    """
    samples = samples or {}
    own = [(task, frozenset(task.images)) for task in tasks]

    def prepare(paths: Sequence[Path]) -> tuple[list[Tensor], list[Coded]]:
        originals = [protocol.show(read_image(path)) for path in paths]
        return originals, code_all(originals, paths) if is_ahead else []

    def code_all(originals: Sequence[Tensor], paths: Sequence[Path]) -> list[Coded]:
        return [code(coder, image, path, protocol) for image, path in zip(originals, paths, strict=True)]

    def finish(paths: Sequence[Path], prepared: tuple[list[Tensor], list[Coded]]) -> list[Record]:
        originals, coded = prepared
        coded = coded or code_all(originals, paths)
        shown = [each.reconstruction for each in coded]
        measured = [
            Measured(
                each.bpp, each.bpp_estimated, each.encode_seconds, each.decode_seconds,
                each.reconstruction[0, 0].numel(), qualities,
            )
            for each, qualities in zip(coded, measures(paths, shown, originals), strict=True)
        ]  # fmt: skip
        found = [Record(*each) for each in zip(_predict(own, paths, shown), measured, strict=True)]
        for path, image, record in zip(paths, shown, found, strict=True):
            if path in samples:
                write_sample(samples[path], protocol.beside_file(image, image_size(path)), record)
        return found

    is_ahead = coder.is_threadsafe
    redo = {i for i, paths in enumerate(batches) for path in paths if path in samples and not samples[path].exists()}
    return _work(batches, redo, records, shard, prepare, finish, progress)


def predict_originals(
    batches: Sequence[list[Path]],
    tasks: Sequence[Task],
    records: Records,
    shard: Shard = WHOLE,
    progress: Progress = lambda *_: None,
    protocol: Protocol = FILE,
) -> list[Record]:
    """Return the tasks' predictions on the uncompressed pictures, after making those that are not on record."""
    own = [(task, frozenset(task.images)) for task in tasks]

    def prepare(paths: Sequence[Path]) -> list[Tensor]:
        return [protocol.show(read_image(path)) for path in paths]

    def finish(paths: Sequence[Path], originals: list[Tensor]) -> list[Record]:
        return [Record(predictions, None) for predictions in _predict(own, paths, originals)]

    return _work(batches, set(), records, shard, prepare, finish, progress)


Prepared = TypeVar("Prepared")


def _work(
    batches: Sequence[list[Path]],
    redo: set[int],
    records: Records,
    shard: Shard,
    prepare: Callable[[Sequence[Path]], Prepared],
    finish: Callable[[Sequence[Path], Prepared], list[Record]],
    progress: Progress,
) -> list[Record]:
    """Do this process's part of the batches without a record, each prepared while the one before is finished."""
    done = records.read().keys() - redo
    shard.barrier()  # before anybody adds to what the others read
    left = [i for i in range(len(batches)) if i not in done][shard.rank :: shard.world]
    total = sum(len(batches[i]) for i in left)
    num_done = 0
    progress(0, total)
    with ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(prepare, batches[i]) for i in left[:1]]
        for position, i in enumerate(left):
            prepared = futures.pop().result()
            futures += [pool.submit(prepare, batches[following]) for following in left[position + 1 : position + 2]]
            records.append(i, finish(batches[i], prepared))
            num_done += len(batches[i])
            progress(num_done, total)
    shard.barrier()
    return [record for batch in records.read().values() for record in batch]


def code(coder: Coder, picture: Tensor, path: Path, protocol: Protocol = FILE) -> Coded:
    """Return what comes of one file's picture, (1, 3, H, W), through real bytes.

    Raises:
        ValueError: the reconstruction has another size, or equals the original (one of a single colour may).
    """
    image = protocol.to_coder(picture)
    start = time.perf_counter()
    stream = coder.encode(image)
    encoded = time.perf_counter()
    decoded = quantise(coder.decode(stream.content))
    ended = time.perf_counter()
    if decoded.shape != image.shape:
        sizes = f"{tuple(image.shape)} -> {tuple(decoded.shape)}"
        raise ValueError(f"{coder.codec} changed the size of {path}: {sizes}")
    if torch.equal(decoded, image) and not torch.equal(image, image[..., :1, :1].expand_as(image)):
        raise ValueError(f"{coder.codec} gave back the original of {path}: a task must not see originals")
    num_px = picture[0, 0].numel()
    estimate = None if stream.num_bits_estimated is None else stream.num_bits_estimated / num_px
    reconstruction = protocol.from_coder(decoded, (picture.shape[-2], picture.shape[-1]))
    return Coded(reconstruction, 8 * len(stream.content) / num_px, estimate, encoded - start, ended - encoded)


def write_sample(path: Path, image: Tensor, record: Record) -> None:
    """Write an image as PNG, after a JSON beside it with its record: where the PNG is, both are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = record.measured._asdict() if record.measured else {}
    if record.measured:
        found = record.measured.qualities.items()
        measured["qualities"] = {name: value if math.isfinite(value) else None for name, value in found}
    write_file(json.dumps({**measured, "tasks": record.predictions}).encode(), path.with_suffix(".json"))
    write_image(image, path)


def average(
    coder: Coder, records: Sequence[Record], scores: Scores, replicates: dict[str, list[float]] | None = None
) -> Point:
    """Return the point of a coder's records, with its tasks' scores and their headlines' bootstrap replicates."""
    rows = [record.measured for record in records if record.measured]
    assert len(rows) == len(records) > 0, "an image that was not coded"
    estimates = [row.bpp_estimated for row in rows if row.bpp_estimated is not None]
    return Point(
        lmbda=coder.lmbda,
        quality=coder.quality,
        checkpoint=coder.checkpoint,
        bpp=_mean([row.bpp for row in rows]),
        bpp_estimated=_mean(estimates) if estimates else None,
        encode_seconds=_mean([row.encode_seconds for row in rows]),
        decode_seconds=_mean([row.decode_seconds for row in rows]),
        num_images=len(rows),
        qualities={name: _mean([row.qualities[name] for row in rows]) for name in rows[0].qualities},
        tasks=scores,
        replicates=replicates or {},
        bpp_pooled=sum(row.bpp * row.num_px for row in rows) / sum(row.num_px for row in rows),
        scale_percent=coder.scale_percent,
    )


def plan_batches(images: Sequence[Path], protocol: Protocol = FILE) -> list[list[Path]]:
    """Return neighbours whose pictures are of one size, as many as networks see together; the same whoever asks."""
    batches: list[list[Path]] = []
    size = (0, 0)
    for path in images:
        own = protocol.shown_size(image_size(path))
        is_full = batches and (len(batches[-1]) + 1) * own[0] * own[1] > MAX_BATCH_PX
        if own != size or is_full or len(batches[-1]) == MAX_BATCH:
            batches.append([])
        batches[-1].append(path)
        size = own
    return batches


def _predict(own: OwnImages, paths: Sequence[Path], images: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Return each image's predictions by the tasks whose image it is."""
    predictions: list[dict[str, Any]] = [{} for _ in paths]
    for task, its_paths in own:
        positions = [i for i, path in enumerate(paths) if path in its_paths]
        shown = [images[i] for i in positions], [paths[i] for i in positions]
        found = task.predict(torch.cat(shown[0]), shown[1]) if positions else []
        for i, prediction in zip(positions, found, strict=True):
            predictions[i][task.name] = prediction
    return predictions


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
