"""Weights of torchvision's trunks as they are before training, where torch hub looks for the published ones."""

import math
from pathlib import Path

import torch
from torchvision import models

from lic.backbones.trunks import TrunkName, trunk_file


def write_trunk(name: TrunkName) -> Path:
    """Write a file as torchvision publishes it, of random features and a classifier of zeros; return it."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in models.get_model(name, weights=None).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    path = trunk_file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: _untrained(key, shape, generator) for key, shape in shapes.items()}, path)
    return path


def _untrained(key: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if key.startswith("classifier"):
        return torch.zeros(1).expand(shape)  # a number in the file, not half a gigabyte
    spread = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
    return torch.randn(shape, generator=generator) * spread
