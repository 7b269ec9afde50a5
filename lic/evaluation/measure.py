"""What is measured of a reconstruction besides the tasks: any of the metrics, by name."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lic.curves.facts import Facts
from lic.metrics import Metric, build_metric
from lic.settings.metrics import MetricsConfig

ROOM_BYTES = 2**29
CACHED_PX = 2**16  # MS-SSIM's many planes of so many pixels stay in a processor's cache


class Measures:
    """Metrics that keep what they see of originals from one operating point to the next, while there is room.

    Every point goes through the same images in the same order: keeping the first ones for good serves more of them than
    keeping the latest would. Metrics without weights stay on the CPU: on GPUs, convolutions may be TF32.

    Args:
        metrics: in eval mode, by name.
        device: of those that have weights.
    """

    def __init__(self, metrics: Mapping[str, Metric], device: torch.device) -> None:
        self.metrics = {name: metric.to(device) if _has_weights(metric) else metric for name, metric in metrics.items()}
        self._device, self._room = device, ROOM_BYTES
        self._seen: dict[tuple[str, tuple[Path, ...]], Any] = {}

    def __call__(
        self, paths: Sequence[Path], reconstructions: Sequence[Tensor], originals: Sequence[Tensor]
    ) -> list[dict[str, float]]:
        """Return the values of each image, (1, 3, H, W), all of one size; the paths are the originals' files."""
        shown, references = torch.cat(list(reconstructions)), torch.cat(list(originals))
        with torch.no_grad():
            columns = {name: self._measure(name, tuple(paths), shown, references).tolist() for name in self.metrics}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(paths))]

    def _measure(self, name: str, paths: tuple[Path, ...], shown: Tensor, references: Tensor) -> Tensor:
        metric = self.metrics[name]
        if not _has_weights(metric):
            pieces = (pair.split(max(1, CACHED_PX // shown[0, 0].numel())) for pair in (shown, references))
            pairs = zip(*pieces, strict=True)
            return torch.cat([metric.measure(image, metric.prepare(original)) for image, original in pairs])
        seen = self._seen.get((name, paths))
        if seen is None:
            seen = self._see(name, paths, references.to(self._device))
        return metric.measure(shown.to(self._device), seen).cpu()

    def _see(self, name: str, paths: tuple[Path, ...], references: Tensor) -> Any:
        seen = self.metrics[name].prepare(references)
        size = _num_bytes(seen)
        if seen is not references and size <= self._room:  # pixels are read for every point anyway
            self._seen[name, paths], self._room = seen, self._room - size
        return seen

    @property
    def fingerprint(self) -> str:
        """What changes with whatever values depend on."""
        return " ".join(f"{name} {_digest(metric)}" for name, metric in self.metrics.items()) or "none"


def build_measures(names: Sequence[str], config: MetricsConfig, device: torch.device) -> Measures:
    """Return the metrics of these names.

    Raises:
        ValueError: in one line: weights that cannot be had.
    """
    return Measures({name: build_metric(name, config) for name in dict.fromkeys(names)}, device)


def facts_of_metric(metric: Metric) -> Facts:
    """Return how a metric is shown, as its card says."""
    card = metric.card
    return Facts(card.name, card.title, unit="", digits=4, is_lower_better=card.better == "lower")


def _has_weights(metric: Metric) -> bool:
    return metric.card.weights != "none"


def _num_bytes(seen: Any) -> int:
    if isinstance(seen, Tensor):
        return seen.nbytes
    return sum(map(_num_bytes, seen)) if isinstance(seen, list | tuple) else 0


def _digest(metric: Metric) -> str:
    """Return a digest of the weights and of all that modules say of themselves in numbers, words and lists."""
    digest = hashlib.sha256(f"{metric.title}{metric.code_sha256}".encode())
    for module in metric.modules():
        own = sorted((name, value) for name, value in vars(module).items() if name[:1] != "_")
        plain = [(name, value) for name, value in own if isinstance(value, bool | int | float | str | list | tuple)]
        digest.update(f"{type(module).__name__} {plain}".encode())
    for tensor in metric.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
