"""How well one metric follows the opinions of one set: all statistics, over all and per kind, with intervals.

Values of metrics are turned by their card's direction first, so that every statistic is better when higher, and a
negative one means that the metric prefers what the voters do not.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lic.preferences.benchmark.bootstrap import (
    draw_weights,
    interval,
    resample_krcc,
    resample_mean,
    resample_plcc,
    resample_srcc,
)
from lic.preferences.benchmark.correlations import (
    check_scores,
    hard_credits,
    krcc,
    logistic_fit,
    plcc,
    soft_bound,
    soft_credits,
    srcc,
)
from lic.preferences.benchmark.scores import Key
from lic.preferences.sets.opinions import Compared, PreferenceSet, Rated

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Weights = NDArray[np.int16]

RATED = ("srcc", "krcc", "plcc", "plcc_logistic4", "plcc_logistic5")
COMPARED = ("2afc", "accuracy_hard")
OVERALL = "all"
MAJORITY = "(the majority's side, always)"
"""Stands for a metric in the rows of what soft accuracy can be at most."""


class Row(NamedTuple):
    """One number of the benchmark.

    Attributes:
        kind: of distortion, or `OVERALL`; a pair of two kinds counts for both.
        value: None where there is none, which the note explains.
        low, high: its 95 % interval; None where there is one reference only.
        n: rated images, or pairs.
        references: how many they belong to.
    """

    set: str
    metric: str
    kind: str
    statistic: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    references: int
    note: str = ""


class Headline(NamedTuple):
    """The statistic that metrics are ranked by, over all, and in every resample."""

    score: float
    drawn: Array


class Opinions:
    """The opinions of one sort of a set, as arrays, with the draws that all metrics share.

    Args:
        preferences: the set.
        sort: of its opinions.
        resamples: of the bootstrap.
    """

    def __init__(self, preferences: PreferenceSet, sort: Literal["rated", "compared"], resamples: int) -> None:
        self.set, self.sort = preferences.name, sort
        self._opinions: Sequence[Rated | Compared] = preferences.rated if sort == "rated" else preferences.compared
        names = [_group(one) for one in self._opinions]
        codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
        self.reference: Indices = np.array([codes[name] for name in names], np.int64)
        self.weights: Weights = draw_weights(len(codes), resamples) if codes else np.zeros((0, 0), np.int16)
        self.num_references = len(codes)
        kinds = [_kinds(one) for one in self._opinions]
        self.parts: dict[str, Indices] = {OVERALL: np.arange(len(names))}
        if len(named := sorted({kind for some in kinds for kind in some})) > 1:
            self.parts |= {kind: np.array([i for i, some in enumerate(kinds) if kind in some]) for kind in named}

    def __len__(self) -> int:
        return len(self._opinions)

    @property
    def headline(self) -> str:
        """Return the name of the statistic that metrics are ranked by."""
        return "srcc" if self.sort == "rated" else "2afc"

    def follow(self, metric: str, values: dict[Key, float], sign: int) -> tuple[list[Row], Headline | None]:
        """Return a metric's rows, and its headline unless it has none.

        Args:
            metric: its name.
            values: of the pictures; NaN where the metric gave no finite one.
            sign: 1 if higher is better, else -1.
        """
        measure = self._rate if self.sort == "rated" else self._compare
        rows, headline = [], None
        for kind, part in self.parts.items():
            found = measure(values, sign, part)
            rows += [self._row(metric, kind, part, statistic, each) for statistic, each in found.items()]
            first = found[self.headline]
            if kind == OVERALL and first.value is not None:
                headline = Headline(first.value, first.drawn)
        return rows, headline

    def majority(self) -> list[Row]:
        """Return what soft accuracy is for who always takes the majority's side: no metric gets more."""
        bound = soft_bound(np.array([one.preference for one in self._opinions if isinstance(one, Compared)]))
        return [
            self._row(MAJORITY, kind, part, "2afc", self._mean(bound[part], part)) for kind, part in self.parts.items()
        ]

    def without(self, metric: str, reason: str) -> list[Row]:
        """Return the rows of a metric that has no values."""
        statistics = RATED if self.sort == "rated" else COMPARED
        part = self.parts[OVERALL]
        return [self._row(metric, OVERALL, part, statistic, _Found(None, note=reason)) for statistic in statistics]

    def _row(self, metric: str, kind: str, part: Indices, statistic: str, found: "_Found") -> Row:
        ends = interval(found.drawn) if found.value is not None else None
        references = len(np.unique(self.reference[part]))
        low, high = ends if ends and references > 1 else (None, None)
        return Row(self.set, metric, kind, statistic, found.value, low, high, len(part), references, found.note)

    def _rate(self, values: dict[Key, float], sign: int, part: Indices) -> "dict[str, _Found]":
        rated = [one for i in part if isinstance(one := self._opinions[i], Rated)]
        try:
            x = check_scores([sign * values[one.picture.name, _name(one)] for one in rated], "scores")
            y = check_scores([one.opinion for one in rated], "opinions")
        except ValueError as error:
            return dict.fromkeys(RATED, _Found(None, note=str(error)))
        place = self.reference[part], self.weights
        found = {
            "srcc": _Found(srcc(x, y), resample_srcc(x, y, *place)),
            "krcc": _Found(krcc(x, y), resample_krcc(x, y, *place)),
            "plcc": _Found(plcc(x, y), resample_plcc(x, y, *place)),
        }
        for count in (4, 5):
            fit = logistic_fit(x, y, count)
            drawn = _NONE if fit.mapped is None else resample_plcc(fit.mapped, y, *place)
            found[f"plcc_logistic{count}"] = _Found(fit.plcc, drawn, fit.reason or "")
        return found

    def _compare(self, values: dict[Key, float], sign: int, part: Indices) -> "dict[str, _Found]":
        pairs = [one for i in part if isinstance(one := self._opinions[i], Compared)]
        first, second = (
            np.array([sign * values[getattr(pair, side).name, pair.reference.name] for pair in pairs])
            for side in ("first", "second")
        )
        if unknown := int((~np.isfinite(first + second)).sum()):
            return dict.fromkeys(COMPARED, _Found(None, note=f"{unknown} of {len(pairs)} pairs have no finite scores"))
        preference = np.array([pair.preference for pair in pairs])
        credits = soft_credits, hard_credits
        return {name: self._mean(give(first, second, preference), part)
                for name, give in zip(COMPARED, credits, strict=True)}  # fmt: skip

    def _mean(self, credit: Array, part: Indices) -> "_Found":
        if np.isnan(credit).all():
            return _Found(None, note="no pair has a majority")
        drawn = resample_mean(credit, self.reference[part], self.weights)
        tied = int(np.isnan(credit).sum())
        return _Found(float(np.nanmean(credit)), drawn, f"{tied} pairs without a majority left out" if tied else "")


_NONE: Array = np.zeros(0)


class _Found(NamedTuple):
    value: float | None
    drawn: Array = _NONE
    note: str = ""


def _name(one: Rated) -> str:
    return one.reference.name if one.reference else ""


def _group(one: Rated | Compared) -> str:
    """Return what is drawn together: the reference, or the picture where there is none."""
    if isinstance(one, Compared):
        return one.reference.name
    return one.reference.name if one.reference else f"picture {one.picture.name}"


def _kinds(one: Rated | Compared) -> list[str]:
    return one.kind.split(" / ") if isinstance(one, Compared) else [one.kind]
