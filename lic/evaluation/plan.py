"""What is evaluated on what: the one plan of `lic eval` and of a training's validation."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lic.backbones.networks import build_network
from lic.data.subset import subset
from lic.distortions import with_backbones
from lic.evaluation.measure import Measures
from lic.evaluation.protocols import Protocol, find_protocol
from lic.evaluation.rate_task import RateTask, describe_folder, group_by_dataset, readable
from lic.evaluation.records import WHOLE, Shard
from lic.listing import list_images
from lic.metrics import Metric, build_metric
from lic.printing import Console
from lic.settings import require
from lic.settings.evaluate import JudgeConfig
from lic.settings.metrics import MetricsConfig
from lic.tasks import DEFAULT_TASKS, Task, build_tasks

Group = tuple[str, list[Path], list[Task]]
"""Dataset, images, tasks."""


def plan_evaluation(
    config: JudgeConfig,
    metrics: MetricsConfig,
    device: torch.device,
    console: Console,
    settings: dict[str, Any],
    shard: Shard = WHOLE,
    held_out: tuple[Path, Sequence[Path]] | None = None,
) -> list[RateTask]:
    """Return an evaluation for each set of images, after checking that data, labels and networks are there.

    Args:
        config: tasks, networks and data.
        metrics: their settings.
        device: of the networks.
        console: told what is evaluated on where it could be mistaken.
        settings: the run's, for results files.
        shard: this process's part of the work.
        held_out: a training's folder of photographs and those of them that it does not train on: they are coded, and
            no task judges them, where the settings name neither data nor tasks.

    Raises:
        ValueError: in one line: data, labels or networks are missing or do not fit each other.
    """
    root = Path(config.data_root).expanduser() if config.data_root else None
    require(root is None or root.is_dir(), f"data_root {root} is not a folder")
    protocol = find_protocol(config.protocol)
    groups = _groups(config, root, device, None if root or config.task else held_out, protocol)
    is_demo = root is None and (held_out is None or bool(config.task))
    measures = Measures(_metrics(config.metric, metrics, is_demo, console), device)
    return [_rate_task(group, measures, settings, shard, protocol) for group in groups]


def _metrics(
    names: Sequence[str], config: MetricsConfig, is_demo: bool, console: Console
) -> dict[str, Metric]:
    """Return the metrics; a line says which is left out because the default backbone is not at hand."""
    chosen, built = with_backbones(config, is_demo), dict[str, Metric]()
    for name in dict.fromkeys(names):
        try:
            metric = build_metric(name, chosen)
            require(metric.card.name not in built, f"two of the metrics are called {metric.card.name}")
            built[metric.card.name] = metric
        except ValueError as error:
            if name not in ("mlclipsim", "features") or getattr(chosen, name) == getattr(config, name):
                raise  # it was asked for
            console.print(f"{name} is not measured: {error}", soft_wrap=True)
    return built


def _rate_task(
    group: Group, measures: Measures, settings: dict[str, Any], shard: Shard, protocol: Protocol
) -> RateTask:
    return RateTask(*group, measures, config=settings, shard=shard, protocol=protocol)


def _groups(
    config: JudgeConfig, root: Path | None, device: torch.device, held_out: tuple[Path, Sequence[Path]] | None,
    protocol: Protocol,
) -> list[Group]:
    if held_out is not None:
        folder, photographs = held_out
        images = readable(photographs[: config.limit])
        return [(describe_folder(folder, images), images, [])]
    if root is not None and not config.task:
        photographs = list_images(root)
        images = readable([photographs[i] for i in subset([str(path) for path in photographs], config.limit)])
        return [(describe_folder(root, images), images, [])]
    files = config.network_weights or []
    networks = [build_network(name, None if file == "-" else file, device)
                for name, file in itertools.zip_longest(config.network or [], files)]  # fmt: skip
    names = config.task or DEFAULT_TASKS
    tasks = build_tasks(names, networks, root, device, config.limit, protocol.crop_px, protocol.short_px is not None)
    return group_by_dataset(tasks)


def place(rate_tasks: Sequence[RateTask], folder: Path, num_samples: int | None) -> None:
    """Give each evaluation its folder for results, records and samples: the one, or one below it for each dataset.

    Args:
        rate_tasks: what `plan_evaluation` returned.
        folder: it is made if need be.
        num_samples: how many images' reconstructions are kept; None: all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for each in rate_tasks:
        each.num_samples = num_samples
        each.folder = folder if len(rate_tasks) == 1 else folder / slug(each.dataset)


def slug(dataset: str) -> str:
    """Return a dataset's name as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-")
