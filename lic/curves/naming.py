"""What tells curves apart, and what they are called: in tables, and as files."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Curve(NamedTuple):
    """What tells the curves of one dataset apart. Seeds of one curve differ in the seed alone, and share its name."""

    codec: str
    distortion: str | None = None
    """What the codec was trained for; None for conventional codecs."""
    label: str | None = None
    """What its training was called, where the distortion does not say it all."""
    seed: int | None = None
    """None for conventional codecs, and for checkpoints that do not say."""

    @property
    def recipe(self) -> str | None:
        """The label, else the distortion; None for conventional codecs."""
        return self.label or self.distortion

    @property
    def name(self) -> str:
        """Codec and, where there is one, the recipe."""
        return f"{self.codec} / {self.recipe}" if self.recipe else self.codec

    @property
    def stem(self) -> str:
        """The name as a file's, without the ending and the seed."""
        return file_name(self.name.replace(" / ", "-"))

    @property
    def stem_with_seed(self) -> str:
        """The same with the seed, where there is one."""
        return self.stem if self.seed is None else f"{self.stem}-seed{self.seed}"


def file_name(text: str) -> str:
    """Return a text that files, folders and W&B's artifacts may be called: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII)


def file_stems(curves: Sequence[Curve]) -> list[str]:
    """Return the name of each curve's file without its ending; with the seed where there are others of that name.

    Raises:
        ValueError: two curves would be written to the same file.
    """
    counts = Counter(curve.stem for curve in curves)
    stems = [curve.stem if counts[curve.stem] == 1 else curve.stem_with_seed for curve in curves]
    for stem, count in Counter(stems).items():
        if count > 1:
            names = ", ".join(f"{c.name} ({c.distortion})" for c, own in zip(curves, stems, strict=True) if own == stem)
            raise ValueError(f"{names} would all be written to '{stem}'; judge them apart, or train with other --label")
    return stems
