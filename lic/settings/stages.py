"""Settings that change at a step: `256 512@1200000` is 256, and from step 1,200,000 on 512."""

from collections.abc import Sequence
from itertools import pairwise

from lic.settings import require

Stages = list[tuple[int, float]]
"""First step and value of each stage."""


def stages(name: str, setting: float | Sequence[float | str]) -> Stages:
    """Return the stages of a setting.

    Raises:
        ValueError: a value is not a positive number, or steps do not rise.
    """
    found: Stages = []
    for text in [setting] if isinstance(setting, int | float) else setting:
        value, at, step = str(text).partition("@")
        try:
            found.append((int(step) if at else 0, float(value)))
        except ValueError:
            raise ValueError(f"{name} must be numbers such as 256 512@1200000, got '{text}'") from None
        require(found[-1][1] > 0, f"{name} must be positive, got {text}")
    steps = [step for step, _ in found]
    require(steps[:1] == [0] and all(a < b for a, b in pairwise(steps)),
            f"{name} must begin with a value without a step, and steps must rise, got {setting}")
    return found


def value_at(found: Stages, step: int) -> float:
    """Return the value that a setting has in a step."""
    return next(value for first, value in reversed(found) if first <= step)
