"""What a build of PCMP will do: its references, their split, its voters; an interrupted build goes on with the same."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from PIL import features

from lic.config import require
from lic.data.drawing import WORLD_SEED, draw_scene
from lic.data.subset import subset
from lic.images import UnreadableImage, list_images, read_image, write_file
from lic.preferences.kinds import KINDS
from lic.preferences.kinds.strengths import Pixels
from lic.preferences.pcmp import FORMAT, to_pixels
from lic.preferences.settings import BuildConfig
from lic.preferences.voters import Card, Group

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
        content = {"format": FORMAT, "settings": self.settings, "versions": self.versions, "kinds": list(KINDS)}
        content["voters"] = [card._asdict() for card in self.voters]
        content["references"] = [source.name for source in self.sources]
        return dict(json.loads(json.dumps(content)))


def make_plan(config: BuildConfig, voters: Sequence[Card]) -> Plan:
    """Return the plan of a build.

    Raises:
        ValueError: there are fewer than two references, or no folder of images.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in ("out", "jobs", "device")}
    return Plan(settings, _versions(), list(voters), _sources(config))


def _sources(config: BuildConfig) -> list[Source]:
    if config.data is None:
        numbers = range(config.num_references)
        named: list[tuple[str, str | None]] = [(f"scene-{WORLD_SEED}-{number:05d}", None) for number in numbers]
    else:
        paths = list_images(config.data)
        names = [path.relative_to(config.data).as_posix() for path in paths]
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
                f"{folder} is not an empty folder; give another --out")
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
        raise ValueError(f"{path} cannot be read ({error!r}); give another --out") from error
    require(not differing, f"{folder} holds a build with other {', '.join(differing)}; give another --out")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:56]} ..."
