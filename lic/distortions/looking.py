"""How a loss that looks through a frozen network sees two images: clamped, shifted alike, in tiles or windows.

- the reconstruction is clamped to [0, 1], and a pixel outside gets a gradient only where that points back in;
- in train mode both images are shifted alike by a random offset below a patch, each pair by its own: codecs of
  stride 16 share the grid of 16 px patches, and their decoder learns speckles at the same place of every patch. The
  border is mirrored, not wrapped round: a wrap puts an edge into the picture that no image has;
- images larger than the network's input are cut, never shrunk; smaller ones are mirrored at the border, both alike.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lic.images import pad_at_least


class _ClampUnit(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient survives outside where following it leads back in."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, image: Tensor) -> Tensor:
        ctx.save_for_backward(image)
        return image.clamp(0, 1)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        (image,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch's stub lacks it
        excess = image - image.clamp(0, 1)
        return gradients[0].masked_fill(excess.mul_(gradients[0]) < 0, 0)  # of the other sign: it leads out


def clamp_unit(image: Tensor) -> Tensor:
    """Return the image clamped to [0, 1]; see `_ClampUnit` for its gradient."""
    clamped: Tensor = _ClampUnit.apply(image)
    return clamped


def shift(reconstruction: Tensor, image: Tensor, patch_px: int) -> tuple[Tensor, Tensor]:
    """Return each pair moved by its own random offset in [-patch_px / 2, patch_px / 2), its border mirrored."""
    margin = patch_px // 2
    offsets = torch.randint(0, 2 * margin, (len(image), 2)).tolist()
    return _move(reconstruction, offsets, margin), _move(image, offsets, margin)


def _move(image: Tensor, offsets: list[list[int]], margin: int) -> Tensor:
    height, width = image.shape[-2:]
    mode = "reflect" if min(height, width) > margin else "replicate"
    padded = F.pad(image, (margin, margin, margin, margin), mode=mode)
    moved = [one[:, top : top + height, left : left + width] for one, (top, left) in zip(padded, offsets, strict=True)]
    return torch.stack(moved)


def tile(image: Tensor, size_px: int) -> Tensor:
    """Return the fewest square tiles that cover images, evenly spaced, (N * T, C, size_px, size_px), image by image."""
    image = pad_at_least(image, size_px)
    if image.shape[-2:] == (size_px, size_px):
        return image
    rows, columns = (_starts(side, size_px) for side in image.shape[-2:])
    tiles = [image[..., top : top + size_px, left : left + size_px] for top in rows for left in columns]
    return torch.stack(tiles, 1).flatten(0, 1)


def _starts(side_px: int, size_px: int) -> list[int]:
    num_tiles = -(-side_px // size_px)
    return [round(i * (side_px - size_px) / max(num_tiles - 1, 1)) for i in range(num_tiles)]


def windows(image: Tensor, size_px: int, stride_px: int) -> Tensor:
    """Return square windows every `stride_px`, the last ones flush with the border, (N * T, C, size_px, size_px).

    An image smaller than a window is mirrored at bottom and right up to its size.
    """
    image = pad_at_least(image, size_px)
    rows, columns = ([*range(0, side - size_px, stride_px), side - size_px] for side in image.shape[-2:])
    found = [image[..., top : top + size_px, left : left + size_px] for top in rows for left in columns]
    return torch.stack(found, 1).flatten(0, 1)
