"""Pairs of distortions of different kinds with the same PSNR.

The first of a pair is brought as near to a target as it gets: the target is drawn evenly from 22 to 36 dB, from what
everybody sees to what hardly anybody does. The second is then brought to the first's real PSNR. All PSNRs are those of
8-bit images.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lic.degradations import Kind
from lic.degradations.pixels import psnr_db
from lic.images import Pixels

TARGET_DB = (22.0, 36.0)
MOST_TRIALS = 20  # strengths tried for one distortion
MOST_DRAWS = 30  # pairs of kinds drawn for one pair, before it is given up
NEAREST = 0.05  # a guess keeps this share of the interval away from its ends
FINEST = 1e-4  # strengths nearer than this are the same


class Recipe(NamedTuple):
    """A distortion that can be drawn again, and its PSNR in dB."""

    kind: str
    strength: float
    seed: int
    psnr_db: float


class Distorted(NamedTuple):
    """A recipe and what it makes."""

    recipe: Recipe
    image: Pixels


class Matched(NamedTuple):
    """Pairs of one reference, and how often a kind of distortion could not be used, by kind."""

    pairs: list[tuple[Distorted, Distorted]]
    skipped: "Counter[str]"


def draw_pairs(
    image: Pixels, kinds: Sequence[Kind], num_pairs: int, tolerance_db: float, rng: np.random.Generator
) -> Matched:
    """Return pairs for a reference, no two of the same kinds; fewer where too many cannot be matched.

    Args:
        image: (H, W, 3), RGB.
        kinds: to draw from.
        num_pairs: how many.
        tolerance_db: largest difference in PSNR within a pair.
        rng: draws kinds, targets and seeds.
    """
    pairs: list[tuple[Distorted, Distorted]] = []
    skipped: Counter[str] = Counter()
    taken: set[frozenset[str]] = set()
    for _ in range(MOST_DRAWS * num_pairs):
        if len(pairs) == num_pairs:
            break
        first, second = _draw_kinds(kinds, rng)
        names = frozenset((first.name, second.name))
        if names in taken:
            continue
        target_db, seeds, is_swapped = rng.uniform(*TARGET_DB), rng.integers(2**31, size=2), rng.random() < 0.5
        found = _match(image, first, second, float(target_db), seeds.tolist(), tolerance_db)
        if isinstance(found, str):
            skipped[found] += 1
            continue
        taken.add(names)
        pairs.append(found[::-1] if is_swapped else found)
    return Matched(pairs, skipped)


def _draw_kinds(kinds: Sequence[Kind], rng: np.random.Generator) -> tuple[Kind, Kind]:
    """Two kinds of different groups; one of few strengths comes first, so that the other is brought to it."""
    while True:
        first, second = (kinds[i] for i in rng.integers(len(kinds), size=2))
        if first.group != second.group:
            return (second, first) if second.is_stepped and not first.is_stepped else (first, second)


def _match(
    image: Pixels, first: Kind, second: Kind, target_db: float, seeds: list[int], tolerance_db: float
) -> tuple[Distorted, Distorted] | str:
    """A pair, or the name of the kind that could not be brought to where it should be."""
    one = bring_to(image, first, seeds[0], target_db, tolerance_db)
    if not TARGET_DB[0] <= one.recipe.psnr_db <= TARGET_DB[1]:
        return first.name
    other = bring_to(image, second, seeds[1], one.recipe.psnr_db, tolerance_db)
    return (one, other) if abs(other.recipe.psnr_db - one.recipe.psnr_db) <= tolerance_db else second.name


def bring_to(image: Pixels, kind: Kind, seed: int, target_db: float, tolerance_db: float) -> Distorted:
    """Return the distortion of a kind whose PSNR is nearest to a target, of the strengths tried.

    By false position between strengths on either side of the target, and every third time in the middle, because
    steps and curves defeat false position alone; it ends within the tolerance.

    Args:
        image: (H, W, 3), RGB.
        kind: its PSNR falls with the strength, about.
        seed: of its noise.
        target_db: the PSNR wanted.
        tolerance_db: how near is near enough.
    """

    def at(strength: float) -> Distorted:
        distorted = kind.apply(image, strength, seed)
        return Distorted(Recipe(kind.name, strength, seed, psnr_db(distorted, image)), distorted)

    def error_db(one: Distorted) -> float:
        return one.recipe.psnr_db - target_db

    mild, strong = at(0.0), at(1.0)
    best = min(mild, strong, key=lambda one: abs(error_db(one)))
    for trial in range(MOST_TRIALS):
        low, high = mild.recipe.strength, strong.recipe.strength
        is_out_of_reach = error_db(mild) < 0 or error_db(strong) > 0 or high - low < FINEST
        if abs(error_db(best)) <= tolerance_db or is_out_of_reach:
            break
        share = error_db(mild) / (error_db(mild) - error_db(strong)) if trial % 3 < 2 else 0.5
        share = min(max(share, NEAREST), 1 - NEAREST)
        guess = at(low + share * (high - low))
        mild, strong = (guess, strong) if error_db(guess) > 0 else (mild, guess)
        best = min(best, guess, key=lambda one: abs(error_db(one)))
    return best
