"""Image classification: top-1 and top-5 accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lic.backbones.networks import Network
from lic.curves.facts import Facts
from lic.data.imagenet import LabelledImages, read_folder_classes, read_imagenet
from lic.data.subset import subset
from lic.settings import require
from lic.tasks.bootstrap import mean_interval
from lic.tasks.card import Make, Source, TaskCard, Verdict
from lic.tasks.classes import plain
from lic.tasks.sets import take
from lic.tasks.task import fingerprint


class Classification:
    """A classifier on labelled images; all of its classes may be answered, whether the images show them or not."""

    facts: Facts
    is_resized = False

    def __init__(self, name: str, dataset: str, labelled: LabelledImages, network: Network) -> None:
        self.name, self.dataset, self._network = name, dataset, network
        self.images: list[Path] = labelled.images
        outputs = _outputs(network, labelled.classes, dataset)
        self.labels = np.array([outputs[label] for label in labelled.labels])
        self._num_outputs = len(network.classes or labelled.classes)
        names = network.classes or dict(zip(outputs, labelled.classes, strict=True))
        self.classes = dict(enumerate(names)) if isinstance(names, tuple) else names
        self.network, self.fingerprint = network.name, fingerprint(network, "top5")

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[dict[str, Any]]:
        """Return the five most likely classes of each image, best first.

        Raises:
            ValueError: the network gives another number of values than there are classes, as one without a classifier.
        """
        answers = self._network(images)
        for logits in answers:
            require(len(logits) == self._num_outputs, f"network {self.network} gives {len(logits)} values for "
                    f"{self._num_outputs} classes of {self.dataset}: it is no classifier of these")
        return [{"top5": top5(logits)} for logits in answers]

    def score(self, predictions: Sequence[Any], originals: Sequence[Any] = ()) -> dict[str, Any]:
        """Return the share of images whose label is the first, or among the first five."""
        is_hit = np.array([each["top5"] for each in predictions]) == self.labels[:, None]
        top1, among5 = is_hit[:, 0].astype(float), is_hit.any(1)
        return {"top1": float(top1.mean()), **mean_interval("top1", top1), "top5": float(among5.mean())}


def top5(logits: Tensor) -> list[int]:
    """Return the indices of the five largest of (C,) logits, largest first; of all where there are fewer."""
    return logits.float().topk(min(5, len(logits))).indices.tolist()


def _outputs(network: Network, classes: Sequence[str], dataset: str) -> list[int]:
    """Return the network's output index of each class of the dataset.

    They are matched by name, and else by their order: that of ImageNet's WordNet ids, of ImageFolder's folders.

    Raises:
        ValueError: neither fits.
    """
    in_order = list(range(len(classes)))
    if network.classes is None:
        return in_order
    known = [plain(name) for name in network.classes]
    lacking = [name for name in classes if known.count(plain(name)) != 1]  # ImageNet has two cranes
    if not lacking:
        return [known.index(plain(name)) for name in classes]
    if len(known) == len(classes):
        return in_order
    shown = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
    raise ValueError(f"network {network.name} knows {len(known)} classes and lacks some of the {len(classes)} of "
                     f"{dataset}: {shown}; choose another with --network")


def _open(source: Source, labelled: LabelledImages) -> Make:
    # by class folder or flat, ImageNet's files have the same names; other folders may repeat them
    names = [path.name if source.num_images else f"{path.parent.name}/{path.name}" for path in labelled.images]
    kept = subset(names, source.limit)
    limited = labelled._replace(images=take(labelled.images, kept), labels=take(labelled.labels, kept))
    dataset = source.describe(len(kept), len(names), [path.name for path in labelled.images])
    return lambda title, network: Classification(title, dataset, limited, network)


_VERDICT = Verdict(Facts("top1", "top-1", "Classification"), "classification", "resnet50")

IMAGENET = TaskCard(
    "imagenet-cls", (_VERDICT,), lambda source: _open(source, read_imagenet(source.root)),
    dataset="ImageNet val", num_images=50_000, file_name=r"ILSVRC2012_val_\d{8}\.JPEG", has_demo=True,
)  # fmt: skip
FOLDER = TaskCard("folder-cls", (_VERDICT,), lambda source: _open(source, read_folder_classes(source.root)))
