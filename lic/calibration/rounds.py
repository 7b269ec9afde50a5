"""What `python -m lic calibrate` keeps of a distortion: its rounds, as a JSON file, and the next scale to try."""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rich import box
from rich.table import Table

from lic.atomic import write_file
from lic.curves.environment import read_environment
from lic.printing import Console
from lic.settings import require

TOLERANCE = 0.15
RANGE = (0.0018, 0.09)  # of the lmbdas that decide, where there are any: below it codecs are starved of bits
FIRST_SLOPE = 0.4  # d log(bpp) / d log(scale) before there are two rounds to tell it
SLOPES = (0.1, 1.0)  # what two rounds may tell: closer ones tell noise
LARGEST_STEP = math.log(10)


@dataclass(frozen=True)
class Settings:
    """What the rates depend on besides distortion and scale: files of other settings are not gone on with.

    Attributes:
        checkpoint_sha256: of what every training starts from.
        steps: of each training.
        seed: of crops and noise.
        precision: of the trainings.
        num_scenes: images there are to train on.
        num_measured: of them, whose rates are averaged.
        crop_px: side of the training crops.
        data: what the images are.
    """

    checkpoint_sha256: str
    steps: int
    seed: int
    precision: str
    num_scenes: int
    num_measured: int
    crop_px: int = 128
    data: str = "demo scenes"


@dataclass(frozen=True)
class Round:
    """A training: with which scale, and the mean bits per pixel that it gave at each lmbda."""

    scale: float
    bpp: list[float]


@dataclass(frozen=True)
class Calibration:
    """A distortion's rounds; those of mse are one, the reference.

    Attributes:
        distortion: its name.
        lmbda: the grid.
        reference_bpp: what mse gives at each lmbda.
        probe: the scale found without training at each lmbda; None where a larger gain lowers no distortion.
        rounds: in order; at least one once anything is known.
        metric: the distortion's own settings; empty where it has none.
    """

    distortion: str
    lmbda: list[float]
    reference_bpp: list[float]
    probe: list[float | None]
    rounds: list[Round]
    metric: dict[str, Any] = field(default_factory=dict)

    def ratios(self, one: Round) -> list[float]:
        """Return bpp / reference at each lmbda."""
        return [bpp / reference for bpp, reference in zip(one.bpp, self.reference_bpp, strict=True)]

    @property
    def _deciding(self) -> list[int]:
        """The places in the grid of the lmbdas in `RANGE`, of all if there are none."""
        places = range(len(self.lmbda))
        return [i for i in places if RANGE[0] <= self.lmbda[i] <= RANGE[1]] or list(places)

    def _deciding_ratios(self, one: Round) -> list[float]:
        ratios = self.ratios(one)
        return [ratios[i] for i in self._deciding]

    @property
    def best(self) -> Round:
        """The round whose largest deviation from the reference is least, over the lmbdas that decide."""
        return min(self.rounds, key=lambda one: max(abs(ratio - 1) for ratio in self._deciding_ratios(one)))

    @property
    def within(self) -> list[float]:
        """The lmbdas at which the best round lies within 15 % of the reference."""
        pairs = zip(self.lmbda, self.ratios(self.best), strict=True)
        return [lmbda for lmbda, ratio in pairs if abs(ratio - 1) <= TOLERANCE]

    def is_done(self, most_rounds: int) -> bool:
        """Return whether no further round is due."""
        if not self.rounds or len(self.rounds) >= most_rounds:
            return bool(self.rounds)
        return all(abs(ratio - 1) <= TOLERANCE for ratio in self._deciding_ratios(self.best))

    def with_round(self, one: Round) -> "Calibration":
        """Return the calibration with a further round."""
        return dataclasses.replace(self, rounds=[*self.rounds, one])

    def next_scale(self, first: float) -> float:
        """Return the scale to try next: `first`, then a secant on the mean log ratio over log(scale)."""
        if not self.rounds:
            return first
        excess = [fmean(map(math.log, self._deciding_ratios(one))) for one in self.rounds]
        slope = FIRST_SLOPE
        if len(self.rounds) > 1:
            step = math.log(self.rounds[-1].scale / self.rounds[-2].scale)
            slope = (excess[-1] - excess[-2]) / step if step else FIRST_SLOPE
            slope = min(max(slope, SLOPES[0]), SLOPES[1])
        change = min(max(-excess[-1] / slope, -LARGEST_STEP), LARGEST_STEP)
        return self.rounds[-1].scale * math.exp(change)


def file_of(folder: Path, distortion: str) -> Path:
    """Return where a distortion's calibration is kept."""
    return folder / f"{distortion}.json"


def write_calibration(found: Calibration, settings: Settings, command: str, folder: Path) -> None:
    """Write `folder/DISTORTION.json` atomically: the best round first, then what it was chosen from, and how."""
    best = found.best
    content = {
        "distortion": found.distortion, "scale": best.scale, "metric": found.metric, "lmbda": found.lmbda,
        "bpp": best.bpp, "reference_bpp": found.reference_bpp, "ratio": found.ratios(best),
        "within_15_percent": found.within,
        "probe": found.probe, "rounds": [{**dataclasses.asdict(r), "ratio": found.ratios(r)} for r in found.rounds],
        "settings": dataclasses.asdict(settings), "environment": read_environment(), "command": command,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_file((json.dumps(content, indent=1, allow_nan=False) + "\n").encode(), file_of(folder, found.distortion))


def read_calibration(
    distortion: str, settings: Settings, folder: Path, metric: dict[str, Any] | None = None
) -> Calibration | None:
    """Return what `write_calibration` wrote; None where it has not.

    Args:
        distortion: its name.
        settings: that the file must have been made with.
        folder: of the file.
        metric: the distortion's own settings, that the file must have been made with, too.

    Raises:
        ValueError: in one line: it is no such file, or was made with other settings.
    """
    path = file_of(folder, distortion)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        there = Settings(**content["settings"])
        rounds = [Round(one["scale"], one["bpp"]) for one in content["rounds"]]
        found = Calibration(distortion, content["lmbda"], content["reference_bpp"], content["probe"], rounds,
                            dict(content.get("metric", {})))  # fmt: skip
        is_whole = all(len(one.bpp) == len(found.lmbda) == len(found.reference_bpp) for one in rounds)
        require(is_whole and len(rounds) > 0, "rounds or rates are missing")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a file of `python -m lic calibrate` ({error!r}): move it away") from error
    theirs = dataclasses.asdict(there) | found.metric
    ours = dataclasses.asdict(settings) | (metric or {})
    differing = [f"{name} {theirs.get(name)}, not {ours[name]}" for name in ours if theirs.get(name) != ours[name]]
    require(not differing, f"{path} was made with {'; '.join(differing)}: give the same, another -o, or move it away")
    return found


def print_calibrations(reference: Calibration, found: Sequence[Calibration], console: Console) -> None:
    """Print scale, bpp and its ratio to the reference at each lmbda, and the probe's scales, two rows a distortion."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="bpp (ratio to mse) at each lmbda; probed scales below")
    table.add_column("distortion", no_wrap=True)
    for heading in ("scale", *(f"{lmbda:g}" for lmbda in reference.lmbda), "within 15 %", "rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in (reference, *found):
        ratios = each.ratios(each.best)
        cells = [f"{bpp:.3f} ({ratio:.2f})" for bpp, ratio in zip(each.best.bpp, ratios, strict=True)]
        within = f"{len(each.within)} of {len(each.lmbda)}"
        table.add_row(each.distortion, f"{each.best.scale:.5g}", *cells, within, str(len(each.rounds)))
        table.add_row("", "probe", *("none" if scale is None else f"{scale:.5g}" for scale in each.probe))
    console.print(table)
