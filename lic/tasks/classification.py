"""Image classification: top-1 and top-5 accuracy."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lic.data.imagenet import LabelledImages


class Classification:
    """A classifier on labelled images."""

    def __init__(self, dataset: str, labelled: LabelledImages, network: nn.Module, limit: int | None = None) -> None:
        self.name, self.dataset = "imagenet-cls", dataset
        self.images: list[Path] = labelled.images[:limit]
        self.labels = torch.tensor(labelled.labels[:limit])
        self.network = network

    @torch.no_grad()
    def predict(self, image: Tensor) -> list[Tensor]:
        """Return the five most likely classes of each image, best first."""
        return list(self.network(image).float().topk(5).indices.cpu())

    def score(self, predictions: Sequence[Tensor]) -> dict[str, float]:
        """Return the share of images whose label is the first, or among the first five."""
        is_hit = torch.stack(list(predictions)) == self.labels[:, None]
        return {"top1": is_hit[:, 0].double().mean().item(), "top5": is_hit.any(1).double().mean().item()}
