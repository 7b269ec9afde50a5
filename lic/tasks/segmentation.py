"""Semantic segmentation: mean intersection over union."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lic.data.voc import VocImages

NOT_JUDGED = 255


class Segmentation:
    """A segmenter, (N, 3, H, W) -> logits (N, C, h, w), on images with a class per pixel, 0 = background."""

    def __init__(self, dataset: str, voc: VocImages, network: nn.Module, limit: int | None = None) -> None:
        self.name, self.dataset = "voc-seg", dataset
        self.images: list[Path] = voc.images[:limit]
        self.masks = voc.masks[:limit]
        self.network = network

    @torch.no_grad()
    def predict(self, image: Tensor) -> list[Tensor]:
        """Return each image's class by pixel, (H, W) uint8, at the image's own size."""
        logits = F.interpolate(self.network(image).float(), image.shape[-2:], mode="bilinear", align_corners=False)
        self.num_classes = logits.shape[1]
        return list(logits.argmax(1).to(torch.uint8).cpu())

    def score(self, predictions: Sequence[Tensor]) -> dict[str, float]:
        """Return the intersection over union of all pixels, averaged over the classes that occur."""
        confusion = torch.zeros(self.num_classes * self.num_classes, dtype=torch.int64)
        for mask, prediction in zip(self.masks, predictions, strict=True):
            truth = torch.from_numpy(np.array(Image.open(mask))).flatten().long()
            pairs = truth * self.num_classes + prediction.flatten()
            confusion += torch.bincount(pairs[truth != NOT_JUDGED], minlength=len(confusion))
        counts = confusion.reshape(self.num_classes, self.num_classes).double()
        intersection, union = counts.diag(), counts.sum(0) + counts.sum(1) - counts.diag()
        return {"miou": (intersection[union > 0] / union[union > 0]).mean().item()}
