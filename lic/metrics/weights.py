"""The files that hold metrics' default weights, whether they are here or not yet."""

from collections.abc import Callable
from pathlib import Path

from lic.backbones.demo import demo_folder
from lic.backbones.trunks import trunk_file, trunk_source
from lic.config import MetricName

WEIGHTS: dict[MetricName, tuple[Callable[[], Path], Callable[[], str]]] = {
    "lpips": (lambda: trunk_file("alexnet"), lambda: trunk_source("alexnet")),
    "dists": (lambda: trunk_file("vgg16"), lambda: trunk_source("vgg16")),
    "mlclipsim": (lambda: demo_folder() / "clip.safetensors", lambda: "python -m lic demo-networks clip"),
}
"""By metric, where its file belongs, and where it comes from; metrics without weights are not in it."""


def is_here(name: MetricName) -> bool | None:
    """Return whether a metric's default weights are on this machine; None if it has none."""
    return WEIGHTS[name][0]().is_file() if name in WEIGHTS else None


def how_to_get(name: MetricName) -> str:
    """Return the line that says which file is wanted, from where, and where to put it."""
    path, source = WEIGHTS[name]
    return f"{path().name} from {source()}, into {path().parent}"
