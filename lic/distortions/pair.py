"""What every comparison of pixels needs first: two images of one kind, in full precision."""

import torch
from torch import Tensor

from lic.distortions.looking import clamp_unit
from lic.images import pad_at_least


def check_sizes(reconstruction: Tensor, image: Tensor) -> None:
    """Refuse, in one line, what would be compared wrongly or broadcast by accident.

    Args:
        reconstruction: (N, 3, H, W).
        image: (N, 3, H, W), or (1, 3, H, W) for all of them.
    """
    shapes = [tuple(x.shape) for x in (reconstruction, image)]
    if any(len(shape) != 4 or shape[1] != 3 or 0 in shape for shape in shapes):
        raise ValueError(f"images must be RGB, (N, 3, H, W) and not empty; got {shapes[0]} and {shapes[1]}")
    if shapes[0][2:] != shapes[1][2:]:
        sizes = " and ".join(f"{width} x {height}" for *_, height, width in shapes)
        raise ValueError(f"images to compare must be of one size, got {sizes} px")
    if shapes[1][0] not in (1, shapes[0][0]):
        raise ValueError(f"{shapes[0][0]} images need as many references, or one; got {shapes[1][0]}")


def comparable(reconstruction: Tensor, image: Tensor, least_px: int = 1) -> tuple[Tensor, Tensor]:
    """Return both in float32 (float64 stays), clamped to [0, 1], of one shape, both sides at least `least_px`.

    The reconstruction keeps its gradient outside [0, 1] where that leads back in. Too small images are mirrored at
    their border, both alike.

    Args:
        reconstruction: (N, 3, H, W), RGB.
        image: (N, 3, H, W), or (1, 3, H, W) for all of them, RGB in [0, 1].
        least_px: what the measure needs.
    """
    check_sizes(reconstruction, image)
    wide = (x if x.dtype == torch.float64 else x.float() for x in (reconstruction, image))
    first, second = (pad_at_least(clamp_unit(x), least_px) for x in wide)
    return first, second.expand_as(first)


def full_precision(image: Tensor) -> torch.autocast:
    """Return the context in which autocast leaves convolutions alone: local variances cancel, in bf16 to nothing."""
    return torch.autocast(image.device.type, enabled=False)
