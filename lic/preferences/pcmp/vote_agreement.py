"""How far voters agree, what hangs on each of them, and the terminal's table of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from lic.preferences.pcmp.voters import Card
from lic.printing import Console

Votes = NDArray[np.float64]
"""(pairs, voters): 1 for the first image, 0 for the second, 0.5 for neither."""


@dataclass(frozen=True)
class VoterStatistics:
    """What one voter does to the labels.

    Attributes:
        name: the voter's.
        ties: share of pairs on which it has no preference.
        agreement: mean over pairs of 1 - |its vote - the mean vote of the others|.
        soft_change: mean over pairs of how much the soft label moves when it is left out.
        hard_change: share of pairs whose hard label (first, second, neither) is another when it is left out.
    """

    name: str
    ties: float
    agreement: float
    soft_change: float
    hard_change: float


@dataclass(frozen=True)
class Statistics:
    """How a set of votes hangs together.

    Attributes:
        num_pairs: pairs voted on.
        pairwise_agreement: mean over pairs and pairs of voters of 1 - |vote - vote'|.
        alpha: Krippendorff's, interval; 1 agreement, 0 as by chance. None if there is nothing to disagree on.
        alpha_by_group: that of the voters of each group alone.
        unanimous: share of pairs on which all voters prefer the same image.
        undecided: share of pairs whose soft label is one half.
        groups_agree: share of pairs, of those on which neither is undecided, on which the hard label of the voters for
            fitting is that of the voters for testing; None if either group is empty.
        voters: each of them.
    """

    num_pairs: int
    pairwise_agreement: float | None
    alpha: float | None
    alpha_by_group: dict[str, float | None]
    unanimous: float
    undecided: float
    groups_agree: float | None
    voters: list[VoterStatistics]


def measure_agreement(votes: Votes, cards: Sequence[Card]) -> Statistics:
    """Return the statistics of votes (pairs, voters), one pair or more."""
    soft = votes.mean(1)
    groups = {group: votes[:, [card.group == group for card in cards]] for group in ("fit", "test")}
    return Statistics(
        num_pairs=len(votes),
        pairwise_agreement=_pairwise_agreement(votes),
        alpha=krippendorff_alpha(votes),
        alpha_by_group={group: krippendorff_alpha(theirs) for group, theirs in groups.items()},
        unanimous=float(np.isin(soft, (0, 1)).mean()),
        undecided=float((soft == 0.5).mean()),
        groups_agree=_groups_agree(groups["fit"], groups["test"]),
        voters=[_of_voter(votes, i, card.name) for i, card in enumerate(cards)],
    )


def krippendorff_alpha(votes: Votes) -> float | None:
    """Return Krippendorff's alpha with interval distances (Krippendorff 2011, Computing Krippendorff's Alpha).

    1 - observed / expected disagreement, where a disagreement is a squared difference: between the votes on one pair,
    and between any two votes. NaN is a vote not cast; pairs with fewer than two votes do not count.

    Returns:
        None where all votes are the same, or no pair has two.
    """
    votes = votes[(~np.isnan(votes)).sum(1) >= 2] if votes.size else votes.reshape(0, 0)
    if votes.size == 0:
        return None
    # the sum of squared differences of all ordered pairs of n values is 2 n (sum of squares) - 2 (sum)^2
    counts = (~np.isnan(votes)).sum(1)
    within = 2 * (counts * np.nansum(votes**2, 1) - np.nansum(votes, 1) ** 2)
    cast = votes[~np.isnan(votes)]
    expected = 2 * (len(cast) * (cast**2).sum() - cast.sum() ** 2) / (len(cast) - 1)
    return None if expected <= 0 else float(1 - (within / (counts - 1)).sum() / expected)


def _pairwise_agreement(votes: Votes) -> float | None:
    """None for a single voter."""
    count = votes.shape[1]
    if count < 2:
        return None
    # |vote - vote'| summed over all pairs of voters, from the sorted votes: each gap is crossed k (n - k) times
    gaps = np.diff(np.sort(votes, 1), axis=1)
    crossings = np.array([k * (count - k) for k in range(1, count)])
    return float(1 - (gaps @ crossings).mean() / (count * (count - 1) / 2))


def _groups_agree(fit: Votes, test: Votes) -> float | None:
    if fit.shape[1] == 0 or test.shape[1] == 0:
        return None
    ours, theirs = (np.sign(votes.mean(1) - 0.5) for votes in (fit, test))
    is_decided = (ours != 0) & (theirs != 0)
    return float((ours == theirs)[is_decided].mean()) if is_decided.any() else None


def _of_voter(votes: Votes, index: int, name: str) -> VoterStatistics:
    own, soft = votes[:, index], votes.mean(1)
    others = np.delete(votes, index, 1).mean(1) if votes.shape[1] > 1 else np.full(len(votes), 0.5)
    return VoterStatistics(
        name=name,
        ties=float((own == 0.5).mean()),
        agreement=float(1 - np.abs(own - others).mean()),
        soft_change=float(np.abs(soft - others).mean()),
        hard_change=float((np.sign(soft - 0.5) != np.sign(others - 0.5)).mean()),
    )


def print_agreement(statistics: Statistics, cards: Sequence[Card], console: Console) -> None:
    """Print a line of the whole and a row for each voter."""
    table = Table(title="voters: agreement with the others, and how much labels change without each")
    for column in ("voter", "family", "task", "group"):
        table.add_column(column)
    for column in ("ties", "agrees", "soft change", "hard change"):
        table.add_column(column, justify="right")
    for row, card in zip(statistics.voters, cards, strict=True):
        numbers = (row.ties, row.agreement, row.soft_change, row.hard_change)
        table.add_row(card.name, card.family, card.task, card.group, *(f"{value:.3f}" for value in numbers))
    console.print(table)
    whole = {
        "mean pairwise agreement": statistics.pairwise_agreement,
        "Krippendorff's alpha": statistics.alpha,
        **{f"alpha of the {group} voters": value for group, value in statistics.alpha_by_group.items()},
        "unanimous": statistics.unanimous,
        "undecided": statistics.undecided,
        "fit and test voters agree": statistics.groups_agree,
    }
    console.print("; ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in whole.items()))
