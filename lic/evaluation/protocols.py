"""Protocols: what of a file is coded, and what networks see of it, as published papers on coding for machines have it.

    file --show--> picture --to_coder--> what is coded --coder--> what is decoded --from_coder--> picture for networks

Bits are counted for what is coded, pixels for the picture. The uncompressed ceiling is the networks' score on pictures
that no coder has touched.

Labels stay as they are, in the pixels of the file. A network is shown the picture at the size that the protocol gives
it, and its boxes and masks are brought back to the file's pixels (lic/tasks/placing.py), as Detectron2 does. To resize
the picture back instead would blur it once more before a detector that enlarges it again, which no paper does. Where a
protocol cuts the picture, labels at places do not fit any more: then classifiers alone judge.
"""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import functional
from torchvision.transforms.functional import to_pil_image

from lic.images import crop_to, from_pixels, quantise, to_pixels
from lic.settings.names import ProtocolName

Size = tuple[int, int]
"""Height and width in px."""


@dataclass(frozen=True)
class Protocol:
    """A value of `--protocol`."""

    name: ProtocolName
    headline: str
    crop_px: int | None = None
    """Short side resized to it, and as much cut out of the centre; networks see all of that, and nothing else."""
    short_px: int | None = None
    """Short side of the picture."""
    long_px: int = 0
    """Longest that its other side may be, which then makes the short one shorter."""
    multiple: int = 1
    """Of which both sides of what is coded are multiples."""
    is_stretched: bool = False
    """Whether the picture is resized to such sides; otherwise zeros fill them up."""

    def shown_size(self, size: Size) -> Size:
        """Return the size of the picture for that of a file."""
        if self.crop_px:
            return self.crop_px, self.crop_px
        if self.short_px is None:
            return size
        # Detectron2's ResizeShortestEdge.get_output_shape, in its order of roundings
        scale = self.short_px / min(size)
        sides = [scale * side for side in size]
        sides[size.index(min(size))] = self.short_px
        shrink = min(1.0, self.long_px / max(sides))
        height, width = (max(1, int(side * shrink + 0.5)) for side in sides)
        return height, width

    def show(self, image: Tensor) -> Tensor:
        """Return the picture of an image file, both (1, 3, H, W), RGB in [0, 1], on the 8-bit grid."""
        size = _size_of(image)
        if self.crop_px:
            page = functional.resize(to_pil_image(to_pixels(image)), [self.crop_px])
            return from_pixels(np.asarray(functional.center_crop(page, [self.crop_px])))
        return _resized(image, self.shown_size(size))

    def to_coder(self, picture: Tensor) -> Tensor:
        """Return what is coded, (1, 3, H, W), of a picture."""
        height, width = (side + -side % self.multiple for side in _size_of(picture))
        if self.is_stretched:
            return quantise(_stretched(picture, (height, width)))
        return F.pad(picture, (0, width - picture.shape[-1], 0, height - picture.shape[-2]))

    def from_coder(self, decoded: Tensor, size: Size) -> Tensor:
        """Return the picture, of this size, in what was decoded."""
        return quantise(_stretched(decoded, size)) if self.is_stretched else crop_to(decoded, *size)

    def original_beside(self, image: Tensor) -> Tensor:
        """Return an uncompressed file as it is kept beside such pictures."""
        return self.show(image) if self.crop_px else image

    def beside_file(self, picture: Tensor, size: Size) -> Tensor:
        """Return a picture as it is kept to be looked at: at the file's size, where labels fit, unless it was cut."""
        return picture if self.crop_px else _resized(picture, size)


FILE = Protocol("file", "the file as it is")
PROTOCOLS = (
    FILE,
    # NYCU-MAPL/TransTIC, examples/classification.py, ICCV 2023
    Protocol("center-crop-256", "short side to 256, the centre 256 x 256 coded and seen (TransTIC)", crop_px=256),
    # examples/detection.py there: Detectron2's test images, F.interpolate to multiples of 256 and back
    Protocol(
        "short-side-800", "short side to 800, at most 1333, coded at multiples of 256 (TransTIC)",
        short_px=800, long_px=1333, multiple=256, is_stretched=True,
    ),
    # qingshi9974/ECCV2024-AdpatICMH, examples/detection.py: the same images, zeros at bottom and right
    Protocol(
        "short-side-800-pad-256", "the same, filled up with zeros instead (Adapt-ICMH)",
        short_px=800, long_px=1333, multiple=256,
    ),
    Protocol("pad-64", "the file, filled up with zeros to multiples of 64", multiple=64),
    Protocol("pad-128", "to multiples of 128", multiple=128),
    Protocol("pad-256", "to multiples of 256", multiple=256),
)  # fmt: skip
"""A test holds that `lic.settings.names.ProtocolName` lists them."""


def find_protocol(name: ProtocolName) -> Protocol:
    """Return the protocol of a name."""
    return next(each for each in PROTOCOLS if each.name == name)


def _size_of(image: Tensor) -> Size:
    return image.shape[-2], image.shape[-1]


def _resized(image: Tensor, size: Size) -> Tensor:
    """Return an image at a size, by Pillow's bilinear filter on 8 bits, as Detectron2 and torchvision resize files."""
    if _size_of(image) == size:
        return image
    return from_pixels(np.asarray(functional.resize(to_pil_image(to_pixels(image)), list(size))))


def _stretched(image: Tensor, size: Size) -> Tensor:
    return image if _size_of(image) == size else F.interpolate(image, size, mode="bilinear", align_corners=False)
