"""Tasks: what machines do with reconstructions."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import torch

from lic.backbones.networks import DEFAULT, Kind, Network, build_network, demo_network
from lic.settings import require
from lic.settings.names import TaskName
from lic.tasks.sets import DEMO_DATASET, open_set
from lic.tasks.task import Task

__all__ = ["DEFAULT_TASKS", "DEMO_DATASET", "Task", "build_tasks"]

DEFAULT_TASKS: tuple[TaskName, ...] = ("imagenet-cls", "coco-det", "voc-seg")
"""On the demo scenes, where none are named."""

NOUN: dict[Kind, str] = {
    "classification": "a classifier",
    "detection": "a detector",
    "instances": "an instance segmenter",
    "semantic": "a semantic segmenter",
}
_SUFFIX: dict[Kind, str] = {"classification": "-cls", "detection": "-det", "semantic": "-seg"}  # of consistency


def build_tasks(
    names: Sequence[TaskName],
    networks: Sequence[Network],
    data_root: Path | None,
    device: torch.device,
    limit: int | None = None,
) -> list[Task]:
    """Return the tasks: each name with all of the networks that it takes, or with one by default.

    A task is called by its name, and `name@network` where several networks judge it; `consistency` becomes
    `consistency-cls`, `consistency-det` and `consistency-seg`.

    Args:
        names: on the command line.
        networks: of any kinds; where a task gets none of them, torchvision's usual one or the demo's is built.
        data_root: folder of the sets as their readers expect them, any folder for consistency; None: the demo scenes.
        device: where default networks run.
        limit: use only so many images of each task.

    Raises:
        ValueError: in one line: data or weights are missing, or a network fits no task.
    """
    names = list(dict.fromkeys(names))
    _check_networks(names, networks, data_root is None)
    makers = [open_set(name, data_root, limit) for name in names]  # before any weights are fetched
    defaults: dict[Kind, Network] = {}
    tasks = []
    for name, make in zip(names, makers, strict=True):
        for kind in _kinds(name, networks):
            own = [network for network in networks if network.kind == kind]
            if not own:
                if kind not in defaults:
                    defaults[kind] = _default(kind, data_root is None, device)
                own = [defaults[kind]]
            title = f"{name}{_SUFFIX[kind]}" if name == "consistency" else name
            tasks += [make(f"{title}@{each.name}" if len(own) > 1 else title, each) for each in own]
    return tasks


def _default(kind: Kind, is_demo: bool, device: torch.device) -> Network:
    return demo_network(kind, device) if is_demo else build_network(DEFAULT[kind], None, device)


def _kinds(name: TaskName, networks: Sequence[Network]) -> list[Kind]:
    """Return the kinds of network that judge a task."""
    match name:
        case "imagenet-cls" | "folder-cls":
            return ["classification"]
        case "coco-det" | "voc-det":
            return ["detection"]
        case "coco-seg":
            return ["instances"]
        case "voc-seg" | "coco-semseg" | "camvid-seg":
            return ["semantic"]
        case "consistency":
            return [kind for kind in _SUFFIX if any(n.kind == kind for n in networks)] or list(_SUFFIX)
        case _:
            assert_never(name)


def _check_networks(names: Sequence[TaskName], networks: Sequence[Network], is_demo: bool) -> None:
    for i, network in enumerate(networks):
        require(is_demo or not network.name.startswith("demo-"),
                f"network {network.name} knows nothing but the demo scenes; leave out --data_root, or choose another")
        if not any(network.kind in _kinds(name, networks) for name in names):
            needs = ", ".join(f"{name} needs {' or '.join(NOUN[kind] for kind in _kinds(name, ()))}" for name in names)
            raise ValueError(f"network {network.name} is {NOUN[network.kind]}; {needs}")
        twin = any(network.kind == other.kind and network.name == other.name for other in networks[:i])
        require(not twin, f"two of the networks are called {network.name}; results could not tell them apart")
