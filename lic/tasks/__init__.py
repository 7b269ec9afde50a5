"""Tasks: what machines do with reconstructions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lic.backbones.networks import NOUN, Network, build_network, demo_network
from lic.curves.facts import Facts
from lic.curves.results import task_of
from lic.demo.scenes import scenes_root
from lic.guests import content_digest, find_card
from lic.settings import require
from lic.settings.names import TaskName
from lic.tasks.card import DEMO_DATASET, Make, Source, TaskCard, Verdict
from lic.tasks.classification import FOLDER, IMAGENET
from lic.tasks.consistency import CONSISTENCY
from lic.tasks.detection import COCO_DET, COCO_SEG, VOC_DET
from lic.tasks.pope import POPE
from lic.tasks.seedbench import SEEDBENCH
from lic.tasks.segmentation import CAMVID_SEG, COCO_SEMSEG, VOC_SEG
from lic.tasks.task import Task
from lic.tasks.textvqa import TEXTVQA

__all__ = [
    "CARDS", "DEFAULT_TASKS", "DEMO_DATASET", "Facts", "Make", "Source", "Task", "TaskCard", "Verdict", "build_tasks",
    "facts_by_task",
]  # fmt: skip

DEFAULT_TASKS: tuple[TaskName, ...] = ("imagenet-cls", "coco-det", "voc-seg")
"""On the demo scenes, where none are named."""

CARDS = (IMAGENET, FOLDER, COCO_DET, VOC_DET, COCO_SEG, COCO_SEMSEG, VOC_SEG, CAMVID_SEG, POPE, SEEDBENCH, TEXTVQA,
         CONSISTENCY)  # fmt: skip
"""The house's own; a test holds that `lic.settings.names.TaskName` lists them."""


def build_tasks(
    names: Sequence[str],
    networks: Sequence[Network],
    data_root: Path | None,
    device: torch.device,
    limit: int | None = None,
    cut_px: int | None = None,
    is_resized: bool = False,
) -> list[Task]:
    """Return the tasks: each name with all of the networks that it takes, or with one by default.

    A task is called by its card's name, and `name@network` where several networks judge it; `consistency` becomes
    `consistency-cls`, `consistency-det` and `consistency-seg`.

    Args:
        names: on the command line; of guests' files, too.
        networks: of any kinds; where a task gets none of them, its usual one or the demo's is built.
        data_root: folder of the sets as their readers expect them, any folder for consistency; None: the demo scenes.
        device: where default networks run.
        limit: use only so many images of each task.
        cut_px: side of the squares that pictures are cut to, which classifiers see as they are; None: they are whole.
        is_resized: whether pictures are shown at other sizes than their files'.

    Raises:
        ValueError: in one line: data or weights are missing, a network fits no task, or a task's labels are at places
            and pictures are cut.
    """
    names = list(dict.fromkeys(names))
    cards = [find_card("task", name, CARDS, TaskCard) for name in names]
    for i, card in enumerate(cards):
        require(all(card.name != other.name for other in cards[:i]),
                f"two of the tasks are called {card.name}; results could not tell them apart")
    cards = cards if cut_px is None else [_of_cut_pictures(card) for card in cards]
    _check_networks(cards, networks, data_root is None)
    networks = networks if cut_px is None else [network.uncut(cut_px) for network in networks]
    makers = [card.open(_source(card, data_root, limit)) for card in cards]  # before any weights are fetched
    defaults: dict[str, Network] = {}
    tasks = []
    for value, card, make in zip(names, cards, makers, strict=True):
        for verdict in _verdicts(card, networks):
            own: list[Network | None] = [network for network in networks if network.kind == verdict.kind]
            if not own:
                default = _default(verdict, data_root is None, device, defaults)
                own = [default.uncut(cut_px) if default and cut_px else default]
            for each in own:
                title = card.name + verdict.suffix + (f"@{each.name}" if each and len(own) > 1 else "")
                tasks.append(_finish(make(title, each), verdict, value, is_resized))
    return tasks


def facts_by_task(tasks: Sequence[Task]) -> dict[str, Facts]:
    """Return how each task is shown, without networks: the house's in the order of their cards, then guests'."""
    found = {task_of(task.name): task.facts for task in tasks}
    own = [card.name + verdict.suffix for card in CARDS for verdict in card.verdicts]
    return {name: found[name] for name in (*own, *found) if name in found}


def _source(card: TaskCard, data_root: Path | None, limit: int | None) -> Source:
    if data_root is None:
        demo = ", ".join(each.name for each in CARDS if each.has_demo)
        require(card.has_demo, f"{card.name} has no demo scenes; give --data_root, the folder with its data "
                               f"(without one there are {demo})")  # fmt: skip
    return Source(data_root or scenes_root(), data_root is None, limit, card.dataset, card.num_images, card.file_name)


def _of_cut_pictures(card: TaskCard) -> TaskCard:
    """Return a card with the verdicts that a cut picture allows."""
    kept = tuple(verdict for verdict in card.verdicts if verdict.kind in ("classification", None))
    require(len(kept) > 0, f"{card.name} has labels at places, which a protocol that cuts pictures cuts off; choose "
                           "another --protocol, or --task imagenet-cls, folder-cls or consistency")  # fmt: skip
    return replace(card, verdicts=kept)


def _verdicts(card: TaskCard, networks: Sequence[Network]) -> list[Verdict]:
    """Return the verdicts of the kinds of network that are there, all where none is."""
    return [each for each in card.verdicts if any(n.kind == each.kind for n in networks)] or list(card.verdicts)


def _default(verdict: Verdict, is_demo: bool, device: torch.device, built: dict[str, Network]) -> Network | None:
    if verdict.kind is None:
        return None
    if verdict.network not in built:
        demo = demo_network(verdict.kind, device) if is_demo else None
        built[verdict.network] = demo or build_network(verdict.network, None, device)
    return built[verdict.network]


def _finish(task: Task, verdict: Verdict, value: str, is_resized: bool) -> Task:
    """Return a task with what its card says; what is on record of a guest holds for the file as it is."""
    lacking = [name for name in ("dataset", "images", "network", "fingerprint", "classes") if not hasattr(task, name)]
    require(not lacking, f"task {value} lacks {', '.join(lacking)}; lic.tasks.Task says what it has")
    task.facts, task.is_resized = verdict.facts, is_resized
    task.fingerprint += content_digest(value)
    return task


def _check_networks(cards: Sequence[TaskCard], networks: Sequence[Network], is_demo: bool) -> None:
    for i, network in enumerate(networks):
        require(is_demo or not network.name.startswith("demo-"),
                f"network {network.name} knows nothing but the demo scenes; leave out --data_root, or choose another")
        if not any(network.kind == verdict.kind for card in cards for verdict in card.verdicts):
            needs = ", ".join(f"{card.name} needs {_needs(card)}" for card in cards)
            raise ValueError(f"network {network.name} is {NOUN[network.kind]}; {needs}")
        twin = any(network.kind == other.kind and network.name == other.name for other in networks[:i])
        require(not twin, f"two of the networks are called {network.name}; results could not tell them apart")


def _needs(card: TaskCard) -> str:
    return " or ".join(NOUN[verdict.kind] if verdict.kind else "no network" for verdict in card.verdicts)
