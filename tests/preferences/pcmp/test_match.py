"""Pairs of equal PSNR: within the tolerance, of different groups, or counted."""

import numpy as np
import pytest

from lic.degradations import KINDS, Kind, distort, kinds_for
from lic.degradations.pixels import psnr_db
from lic.demo.drawing import draw_scene
from lic.images import Pixels
from lic.preferences.pcmp.match import MOST_DRAWS, TARGET_DB, bring_to, draw_pairs

SCENE = draw_scene("preferences", 0).image
SCENES = kinds_for(are_photographs=False)


def test_pairs_match_and_differ() -> None:
    matched = draw_pairs(SCENE, SCENES, 8, 0.1, np.random.default_rng(0))
    assert len(matched.pairs) == 8
    for pair in matched.pairs:
        for recipe, image in pair:
            assert np.array_equal(distort(SCENE, recipe.kind, recipe.strength, recipe.seed), image)
            assert psnr_db(image, SCENE) == recipe.psnr_db
            assert TARGET_DB[0] - 0.1 <= recipe.psnr_db <= TARGET_DB[1] + 0.1
        assert abs(pair[0].recipe.psnr_db - pair[1].recipe.psnr_db) <= 0.1
        assert KINDS[pair[0].recipe.kind].group != KINDS[pair[1].recipe.kind].group
    assert len({frozenset((a.recipe.kind, b.recipe.kind)) for a, b in matched.pairs}) == 8


def test_what_cannot_be_matched_is_counted() -> None:
    matched = draw_pairs(SCENE, SCENES, 1, -1.0, np.random.default_rng(0))  # equal sums of squares are not enough
    assert matched.pairs == []
    assert 0 < sum(matched.skipped.values()) <= MOST_DRAWS
    assert set(matched.skipped) <= set(KINDS)


def test_a_flat_image_ends_too() -> None:
    flat = np.full((32, 32, 3), 90, np.uint8)  # nothing blurs it
    matched = draw_pairs(flat, SCENES, 4, 0.1, np.random.default_rng(1))
    assert matched.skipped["gaussian-blur"] > 0
    assert all(abs(a.recipe.psnr_db - b.recipe.psnr_db) <= 0.1 for a, b in matched.pairs)


@pytest.mark.parametrize("target_db", [24, 30, 36])
def test_a_smooth_kind_is_brought_to_the_target(target_db: float) -> None:
    found = bring_to(SCENE, KINDS["gaussian-noise"], 3, target_db, 0.01)
    assert abs(psnr_db(found.image, SCENE) - target_db) <= 0.01


def test_a_stepped_kind_is_brought_to_its_nearest_step() -> None:
    def shift(image: Pixels, strength: float, seed: int) -> Pixels:
        return np.asarray(image + np.uint8(1 if strength < 0.3 else 4 if strength < 0.71 else 16))

    steps_db = [20 * np.log10(255 / step) for step in (1, 4, 16)]
    grey = np.full((8, 8, 3), 100, np.uint8)
    for target_db, nearest in ((60, 0), (40, 1), (34, 1), (26, 2), (10, 2)):
        found = bring_to(grey, Kind("shift", "light", shift, True), 0, target_db, 0.01)
        assert found.recipe.psnr_db == pytest.approx(steps_db[nearest])
