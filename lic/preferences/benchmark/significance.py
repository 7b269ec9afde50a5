"""Which metrics differ on a set: every pair of them, corrected for how many pairs there are."""

from collections.abc import Sequence
from itertools import combinations
from math import isnan
from typing import NamedTuple

from lic.preferences.benchmark.bootstrap import Difference, holm, paired_difference
from lic.preferences.benchmark.followed import Headline

LEVEL = 0.05


class Contrast(NamedTuple):
    """Two metrics on one set, by the statistic that they are ranked by."""

    set: str
    statistic: str
    first: str
    second: str
    found: Difference

    @property
    def is_significant(self) -> bool:
        """Whether they differ at the level of 5 % after Holm's correction."""
        return self.found.p_holm < LEVEL


def contrast_all(name: str, statistic: str, headlines: dict[str, Headline], num_references: int) -> list[Contrast]:
    """Return the contrast of every pair of metrics; none where there are fewer than two references."""
    pairs = list(combinations(headlines, 2))
    found = [paired_difference(headlines[a].score, headlines[b].score, headlines[a].drawn, headlines[b].drawn,
                               num_references) for a, b in pairs]  # fmt: skip
    known = [(pair, each) for pair, each in zip(pairs, found, strict=True) if num_references > 1 and not isnan(each.p)]
    corrected = holm([each.p for _, each in known])
    return [Contrast(name, statistic, a, b, each._replace(p_holm=p))
            for ((a, b), each), p in zip(known, corrected, strict=True)]  # fmt: skip


def not_worse(contrasts: Sequence[Contrast], best: str) -> set[str]:
    """Return the metrics that do not differ significantly from the best one."""
    return {
        other
        for contrast in contrasts
        if best in (contrast.first, contrast.second) and not contrast.is_significant
        for other in (contrast.first, contrast.second)
        if other != best
    }
