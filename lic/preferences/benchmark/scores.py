"""The metrics' values for every picture of a set, each measured once and kept: an interrupted run goes on.

Pictures are grouped by reference, which every full-reference metric prepares once; a picture is read once for all
metrics that lack it, ahead of them in a thread of its own: one, since a picture may be drawn rather than read, which
sets the number of torch's threads for the time.
"""

import dataclasses
import hashlib
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lic.atomic import naming
from lic.guests import content_digest
from lic.metrics import CARDS, Metric
from lic.preferences.sets.opinions import Picture, PreferenceSet
from lic.settings.metrics import MetricsConfig

Key = tuple[str, str]
"""Names of picture and reference; "" for no reference."""

MAX_BATCH = 32
MAX_PIXELS = 2**21
NUM_AHEAD = 4


class Item(NamedTuple):
    """A picture that is measured, against its reference if there is one."""

    picture: Picture
    reference: Picture | None

    @property
    def key(self) -> Key:
        """What its values are kept under."""
        return self.picture.name, self.reference.name if self.reference else ""


Batch = tuple[list[Item], Tensor, Tensor | None]
"""Pictures, their images and the one reference of all, which may be none."""


def list_items(preferences: PreferenceSet) -> list[Item]:
    """Return every picture of a set with its reference once, those of a reference together."""
    items = [Item(rated.picture, rated.reference) for rated in preferences.rated]
    items += [Item(one, pair.reference) for pair in preferences.compared for one in (pair.first, pair.second)]
    by_key = {item.key: item for item in items}
    groups: dict[str, list[Item]] = {}
    for key, item in by_key.items():
        groups.setdefault(key[1], []).append(item)
    return [item for group in groups.values() for item in group]


class Scores:
    """The values of one metric on one set: lines of JSON, [picture, reference, value], in a file of their own.

    Args:
        path: the file; made with the first values.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.values: dict[Key, float] = {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
            try:
                picture, reference, value = json.loads(line)
            except ValueError:  # the line that an interruption cut short
                continue
            self.values[picture, reference] = math.nan if value is None else value

    def add(self, found: Iterable[tuple[Key, float]]) -> None:
        """Keep values; null stands for those that are not finite."""
        new = dict(found)
        lines = [json.dumps([*key, value if math.isfinite(value) else None]) for key, value in new.items()]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with naming(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + "\n".join(lines))  # the line end first: the last line may have been cut
        self.values |= {key: value if math.isfinite(value) else math.nan for key, value in new.items()}


def scores_file(folder: Path, spec: str, preferences: PreferenceSet, name: str, metric: Metric,
                config: MetricsConfig) -> Path:  # fmt: skip
    """Return the file for a metric's values on a set, whose name changes with all that the values depend on.

    That is the metric with its settings and weights, and the set with its labels (a PCMP that was built anew has
    others). The images are taken to stay as they are.

    Args:
        folder: of all such files.
        spec: of the set: name and folder.
        preferences: the whole set.
        name: of the metric, with its argument.
        metric: as it was built.
        config: the settings; those of other metrics do not count.
    """
    digest = hashlib.sha256(f"{spec} {name} {_settings(name, config)}{content_digest(name)}".encode())
    for key, value in sorted(metric.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for one in preferences.rated:
        reference = one.reference.name if one.reference else ""
        digest.update(repr((one.picture.name, reference, one.opinion, one.kind)).encode())
    for pair in preferences.compared:
        names = pair.first.name, pair.second.name, pair.reference.name
        digest.update(repr((*names, pair.preference, pair.kind)).encode())
    readable = "".join(c if c.isalnum() or c == "-" else "_" for c in f"{preferences.name}.{name}")
    return folder / f"{readable}.{digest.hexdigest()[:16]}.jsonl"


def _settings(name: str, config: MetricsConfig) -> str:
    others = {other.name.replace("-", "_") for other in CARDS} - {name.partition(":")[0].replace("-", "_")}
    return repr([(each.name, getattr(config, each.name)) for each in dataclasses.fields(config)
                 if each.name not in others])  # fmt: skip


class Work(NamedTuple):
    """A metric and where its values go."""

    metric: Metric
    scores: Scores


def measure(items: Sequence[Item], work: dict[str, Work], device: torch.device) -> Iterator[tuple[int, dict[str, str]]]:
    """Measure what is not known yet; yield how many items were done, and why metrics gave up, batch by batch.

    A metric that cannot measure a picture (ValueError) gives up on the set; the others go on.

    Args:
        items: of one set, those of a reference together (`list_items`).
        work: by name of the metric.
        device: where the metrics are.
    """
    lacking = [item for item in items if any(item.key not in each.scores.values for each in work.values())]
    work = dict(work)
    yield len(items) - len(lacking), {}
    reference, seen = "", dict[str, Any]()
    with ThreadPoolExecutor(1) as reader, torch.no_grad():
        for batch, images, original in _read_ahead(reader, lacking):
            if batch[0].key[1] != reference:
                reference, seen = batch[0].key[1], {}
            failed = {}
            for name, each in work.items():
                try:
                    _measure_batch(name, each, batch, images, original, seen, device)
                except ValueError as error:
                    failed[name] = str(error)
            work = {name: each for name, each in work.items() if name not in failed}
            yield len(batch), failed


def _measure_batch(name: str, work: Work, batch: Sequence[Item], images: Tensor, original: Tensor | None,
                   seen: dict[str, Any], device: torch.device) -> None:  # fmt: skip
    metric, scores = work
    wanted = [place for place, item in enumerate(batch) if item.key not in scores.values]
    if not wanted:
        return
    if metric.card.reference == "none":
        original = None
    elif original is None:
        raise ValueError(f"it needs a reference, which '{batch[0].picture.name}' has not")
    if name not in seen:
        seen[name] = metric.prepare(original if original is None else original.to(device))
    values = metric.measure(images[wanted].to(device), seen[name]).float().cpu()
    scores.add(zip((batch[place].key for place in wanted), values.tolist(), strict=True))


def _read_ahead(reader: ThreadPoolExecutor, items: Sequence[Item]) -> Iterator[Batch]:
    """Yield batches of one reference and size with their images and reference, the next being read meanwhile."""
    waiting: deque[Future[list[Batch]]] = deque()
    for group in _groups(items):
        waiting.append(reader.submit(_read_group, group))
        if len(waiting) > NUM_AHEAD:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _groups(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Yield at most `MAX_BATCH` items in a row that share their reference."""
    group: list[Item] = []
    for item in items:
        if group and (item.key[1] != group[0].key[1] or len(group) == MAX_BATCH):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _read_group(group: list[Item]) -> list[Batch]:
    reference = group[0].reference
    original = reference.read() if reference else None
    batches: list[tuple[list[Item], list[Tensor]]] = []
    for item in group:
        image = item.picture.read()
        if original is not None and image.shape != original.shape:
            sizes = " and ".join(f"{x.shape[-1]} x {x.shape[-2]}" for x in (image, original))
            raise ValueError(f"'{item.picture.name}' and its reference '{item.key[1]}' differ in size: {sizes}")
        fits = batches and batches[-1][1][0].shape == image.shape
        if not fits or (len(batches[-1][1]) + 1) * image.shape[-1] * image.shape[-2] > MAX_PIXELS:
            batches.append(([], []))
        batches[-1][0].append(item)
        batches[-1][1].append(image)
    return [(some, torch.cat(images), original) for some, images in batches]
