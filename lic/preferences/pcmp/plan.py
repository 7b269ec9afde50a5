"""What a build of PCMP will do: its references, their split, its voters; an interrupted build goes on with the same.

Pairs of many references, drawn in several processes.
"""

import hashlib
import json
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import features

from lic.atomic import write_file
from lic.data.subset import subset
from lic.degradations import Kind, kinds_for
from lic.demo.drawing import WORLD_SEED, draw_scene
from lic.images import Pixels, UnreadableImage, read_image, to_pixels, to_png
from lic.listing import list_images
from lic.preferences.pcmp.files import FORMAT
from lic.preferences.pcmp.match import Matched, draw_pairs
from lic.preferences.pcmp.voters import Card, Group
from lic.settings import require
from lic.settings.preferences import BuildConfig

SMALLEST_SIDE_PX = 32
SCENE_SPLIT = "preferences"


class Source(NamedTuple):
    """A reference before it is read: a file, or else the demo scene of a number.

    Attributes:
        name: unique, of characters that every file system takes.
        split: all of its pairs'.
    """

    name: str
    path: str | None
    number: int
    split: Group

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of distortion that its pairs are drawn from."""
        return kinds_for(are_photographs=self.path is not None)

    def read(self) -> Pixels:
        """Return its pixels, (H, W, 3).

        Raises:
            UnreadableImage: it cannot be read, or is too small to distort.
        """
        if self.path is None:
            return draw_scene(SCENE_SPLIT, self.number).image
        pixels = to_pixels(read_image(self.path))
        if min(pixels.shape[:2]) < SMALLEST_SIDE_PX:
            raise UnreadableImage(f"{self.path} has a side under {SMALLEST_SIDE_PX} px")
        return pixels


@dataclass(frozen=True)
class Plan:
    """All that a build depends on.

    Attributes:
        settings: of BuildConfig, but those that change nothing.
        versions: of what draws and votes.
        voters: who votes.
        sources: the references.
    """

    settings: dict[str, Any]
    versions: dict[str, str]
    voters: list[Card]
    sources: list[Source]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        content = {"format": FORMAT, "settings": self.settings, "versions": self.versions}
        content["kinds"] = [kind.name for kind in self.sources[0].kinds]
        content["voters"] = [card._asdict() for card in self.voters]
        content["references"] = [source.name for source in self.sources]
        return dict(json.loads(json.dumps(content)))


def make_plan(config: BuildConfig, voters: Sequence[Card]) -> Plan:
    """Return the plan of a build.

    Raises:
        ValueError: there are fewer than two references, or no folder of images.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in ("output", "jobs", "device")}
    return Plan(settings, _versions(), list(voters), _sources(config))


def _sources(config: BuildConfig) -> list[Source]:
    if config.data_root is None:
        numbers = range(config.num_references)
        named: list[tuple[str, str | None]] = [(f"scene-{WORLD_SEED}-{number:05d}", None) for number in numbers]
    else:
        paths = list_images(config.data_root)
        names = [path.relative_to(config.data_root).as_posix() for path in paths]
        chosen = subset(names, config.num_references)
        named = [(_file_name(names[i]), str(paths[i])) for i in chosen]
    require(len(named) > 1, f"PCMP needs two references or more, one to fit and one to test; there is {len(named)}")
    num_test = min(max(round(config.test_share * len(named)), 1), len(named) - 1)
    test = {named[i][0] for i in subset([name for name, _ in named], num_test)}
    return [Source(name, path, i, "test" if name in test else "fit") for i, (name, path) in enumerate(named)]


def _file_name(name: str) -> str:
    """A photograph's name without its folders; a hash of the whole tells apart those that are alike."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', Path(name).stem)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("lic", "numpy", "scipy", "pillow", "torch", "torchvision", "timm")}
    codecs = {name: str(features.version(name)) for name in ("libjpeg_turbo", "webp", "avif", "jpg_2000")}
    return packages | codecs


def begin(folder: Path, plan: Plan) -> None:
    """Write the plan into a new folder, or check that the one there is the same.

    Raises:
        ValueError: the folder holds something else, or a build of another plan.
    """
    path, content = folder / "plan.json", plan.to_json()
    if not path.exists():
        require(not folder.exists() or (folder.is_dir() and not any(folder.iterdir())),
                f"{folder} is not an empty folder; give another --output")
        folder.mkdir(parents=True, exist_ok=True)
        write_file(json.dumps(content, indent=1).encode(), path)
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = [f"{name} ({_short(before[part][name])}, now {_short(content[part][name])})"
                     for part in ("settings", "versions") for name in content[part]
                     if before[part].get(name, None) != content[part][name]]  # fmt: skip
        differing += [part for part in ("kinds", "voters", "references") if before[part] != content[part]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}); give another --output") from error
    require(not differing, f"{folder} holds a build with other {', '.join(differing)}; give another --output")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:56]} ..."


AHEAD = 1  # references drawn ahead of the votes, for each process; an interruption loses no more


class Job(NamedTuple):
    """A reference to draw pairs of; `folder` gets the files, distorted images among them if they are kept."""

    source: Source
    folder: Path
    num_pairs: int
    tolerance_db: float
    seed: int
    keep_images: bool


class Drawn(NamedTuple):
    """A reference's pixels and its pairs; or why it cannot be used."""

    source: Source
    reference: Pixels
    matched: Matched
    problem: str = ""


def reference_file(name: str) -> str:
    """Return a reference's file, relative to the folder."""
    return f"references/{name}.png"


def image_file(name: str, pair: int, side: str) -> str:
    """Return a distorted image's file, relative to the folder; side is a or b."""
    return f"images/{name}-{pair}{side}.png"


def draw(job: Job) -> Drawn:
    """Return the pairs of a reference, having written its files."""
    try:
        reference = job.source.read()
    except UnreadableImage as error:
        return Drawn(job.source, np.zeros((1, 1, 3), np.uint8), Matched([], Counter()), str(error))
    digest = hashlib.sha256(job.source.name.encode()).digest()
    rng = np.random.default_rng([job.seed, int.from_bytes(digest[:8], "big")])
    matched = draw_pairs(reference, job.source.kinds, job.num_pairs, job.tolerance_db, rng)
    _write(reference, job.folder / reference_file(job.source.name))
    for number, pair in enumerate(matched.pairs if job.keep_images else []):
        for side, distorted in zip("ab", pair, strict=True):
            _write(distorted.image, job.folder / image_file(job.source.name, number, side))
    return Drawn(job.source, reference, matched)


def _write(pixels: Pixels, path: Path) -> None:
    write_file(to_png(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255), path)


def draw_all(jobs: Sequence[Job], num_processes: int) -> Iterator[Drawn]:
    """Yield what `draw` returns, in order; one process draws here, without another.

    Raises:
        ValueError: a process ended early.
    """
    if num_processes == 1 or len(jobs) < 2:
        yield from map(draw, jobs)
        return
    executor = ProcessPoolExecutor(min(num_processes, len(jobs)), get_context("spawn"), _prepare)
    try:
        waiting: list[Future[Drawn]] = []
        for job in jobs:
            waiting.append(executor.submit(draw, job))
            if len(waiting) > AHEAD * num_processes:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
    except BrokenProcessPool as error:
        raise ValueError("a process ended early, probably for lack of memory; give fewer --jobs") from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _prepare() -> None:
    """Make a process compute with one thread, leave Ctrl-C to its parent, and end with it even if that is killed."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
