"""The files that hold metrics' default weights, whether they are here or not yet."""

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_CACHE

from lic.backbones.trunks import trunk_file, trunk_source
from lic.demo.networks import demo_folder
from lic.settings.names import MetricName

HUB_NAME, HUB_FILE = "timm/resnet50_clip.openai", "open_clip_model.safetensors"
OPENAI_RN50 = f"https://huggingface.co/{HUB_NAME} (408 MB; hf download {HUB_NAME} {HUB_FILE})"

WEIGHTS: dict[MetricName, tuple[Callable[[], Path], Callable[[], str]]] = {
    "lpips": (lambda: trunk_file("alexnet"), lambda: trunk_source("alexnet")),
    "dists": (lambda: trunk_file("vgg16"), lambda: trunk_source("vgg16")),
    "maclip": (lambda: _in_hub(), lambda: OPENAI_RN50),
    "clipiqa": (lambda: _in_hub(), lambda: OPENAI_RN50),
    "features": (lambda: demo_folder() / "clip.safetensors", lambda: "python -m lic demo-networks clip"),
    "mlclipsim": (lambda: demo_folder() / "clip.safetensors", lambda: "python -m lic demo-networks clip"),
}
"""By metric, where its file belongs, and where it comes from; metrics without weights are not in it."""


def _in_hub() -> Path:
    """Return the file of OpenAI's RN50 in the hub's cache, or the cache where there is none."""
    found = try_to_load_from_cache(HUB_NAME, HUB_FILE)
    return Path(found) if isinstance(found, str) else Path(HF_HUB_CACHE) / HUB_FILE


def is_here(name: MetricName) -> bool | None:
    """Return whether a metric's default weights are on this machine; None if it has none."""
    return WEIGHTS[name][0]().is_file() if name in WEIGHTS else None


def how_to_get(name: MetricName) -> str:
    """Return the line that says which file is wanted, from where, and where to put it."""
    path, source = WEIGHTS[name]
    return f"{path().name} from {source()}, into {path().parent}"
