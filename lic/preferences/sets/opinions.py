"""What preference data say, whatever set they come from: pictures, their opinion scores, their comparisons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from lic.images import read_image


@dataclass(frozen=True)
class Picture:
    """An image that is read when it is needed.

    Attributes:
        name: unique in its set; what messages and caches call it.
        read: returns it, (1, 3, H, W), RGB in [0, 1].
    """

    name: str
    read: Callable[[], Tensor] = field(compare=False)

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> "Picture":
        """Return the picture in a file; its name is the path if not given."""
        return cls(name or str(path), lambda: read_image(path))


@dataclass(frozen=True)
class Rated:
    """An image with an opinion score.

    Attributes:
        opinion: higher is better, whatever the set's own direction.
        kind: of distortion.
        level: of strength, 1 the mildest; None if unknown.
    """

    picture: Picture
    reference: Picture | None
    opinion: float
    kind: str
    level: int | None = None


@dataclass(frozen=True)
class Compared:
    """Two distorted images of one reference.

    Attributes:
        preference: share of voters, in [0, 1], that prefer the first; ties count half.
        kind: of both distortions: "jpeg / blur".
    """

    first: Picture
    second: Picture
    reference: Picture
    preference: float
    kind: str


@dataclass(frozen=True)
class PreferenceSet:
    """A set of opinions: rated images, comparisons, or both."""

    name: str
    rated: Sequence[Rated] = ()
    compared: Sequence[Compared] = ()
