"""The kinds of distortion that PCMP is made of, by the names of the field (TID2013, KADID-10k, ImageNet-C).

    distort(image, "gaussian-blur", 0.5, seed=0)

Each is a function of image, strength and seed alone: a pair is kept as its recipe, and drawn anew bit for bit by the
same versions of numpy, scipy, Pillow and torch. The mildest strength, 0, hardly shows, the strongest, 1, leaves little.
"""

from typing import NamedTuple

from lic.cli import unknown
from lic.degradations.blur import BLUR, SHARPNESS
from lic.degradations.compression import COMPRESSION, QUANTISATION, SCALING
from lic.degradations.light import COLOUR, LIGHT
from lic.degradations.noise import NOISE
from lic.degradations.pixels import Distortion
from lic.degradations.spatial import SPATIAL
from lic.images import Pixels


class Kind(NamedTuple):
    """A kind of distortion.

    Attributes:
        group: kinds of one group are alike; a pair takes two of different groups.
        apply: (image, strength, seed) -> the distorted image.
        is_stepped: it has few strengths, so that another has to be brought to its PSNR.
    """

    name: str
    group: str
    apply: Distortion
    is_stepped: bool


_OF_SCENES = ("learned-mse", "learned-mlclipsim")
_OF_PHOTOGRAPHS = ("learned-photos-mse", "learned-photos-mlclipsim")
_STEPPED = (
    *_OF_SCENES, *_OF_PHOTOGRAPHS, "colour-quantisation", "colour-quantisation-dithered", "avif", "webp", "jpeg",
    "brightness-up", "brightness-down", "nearest-scaling", "bicubic-scaling", "mosaic", "block-loss",
    "patch-displacement",
)  # fmt: skip
_GROUPS = {
    "blur": BLUR, "noise": NOISE, "compression": COMPRESSION, "scaling": SCALING, "quantisation": QUANTISATION,
    "light": LIGHT, "colour": COLOUR, "sharpness": SHARPNESS, "spatial": SPATIAL,
}  # fmt: skip

KINDS: dict[str, Kind] = {
    name: Kind(name, group, apply, name in _STEPPED)
    for group, kinds in _GROUPS.items()
    for name, apply in kinds.items()
}


def kinds_for(are_photographs: bool) -> list[Kind]:
    """Return the kinds to draw from: the learned codecs are those that were trained on such images."""
    others = _OF_SCENES if are_photographs else _OF_PHOTOGRAPHS
    return [kind for kind in KINDS.values() if kind.name not in others]


def distort(image: Pixels, kind: str, strength: float, seed: int) -> Pixels:
    """Return a distorted image, (H, W, 3), RGB.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(unknown("kind of distortion", kind, list(KINDS)))
    return KINDS[kind].apply(image, strength, seed)
