"""The kinds of distortion: pure, the same every time, worse with strength, on any size."""

import numpy as np
import pytest
import torch

from lic.degradations import KINDS, distort, kinds_for
from lic.degradations.compression import dct_quantisation
from lic.degradations.pixels import psnr_db
from lic.demo.drawing import draw_scene
from lic.metrics import psnr_db as metric_psnr_db

SCENE = draw_scene("preferences", 3).image
LARGEST_RISE_DB = 0.8  # nearest-neighbour sampling jumps between its phases


def test_there_are_enough_kinds_in_enough_groups() -> None:
    assert len(KINDS) >= 25
    assert len({kind.group for kind in KINDS.values()}) >= 6


def test_learned_codecs_are_those_of_the_images() -> None:
    for are_photographs in (False, True):
        names = [kind.name for kind in kinds_for(are_photographs) if kind.name.startswith("learned-")]
        assert [name.startswith("learned-photos-") for name in names] == [are_photographs] * 2
        assert len(kinds_for(are_photographs)) == len(KINDS) - 2


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_falls_in_psnr_and_is_the_same_again(name: str) -> None:
    before = SCENE.copy()
    images = [distort(SCENE, name, strength, 5) for strength in (0, 0.25, 0.5, 0.75, 1)]
    qualities = [psnr_db(image, SCENE) for image in images]
    assert np.array_equal(SCENE, before)
    assert all(image.dtype == np.uint8 and image.shape == SCENE.shape for image in images)
    assert np.diff(qualities).max() < LARGEST_RISE_DB
    assert qualities[0] > 26 and qualities[-1] < qualities[0] - 0.5 and qualities[-1] < 32
    assert np.array_equal(images[2], distort(SCENE, name, 0.5, 5))


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_takes_odd_sides(name: str) -> None:
    image = draw_scene("preferences", 4).image[:53, :71]
    for strength in (0, 1):
        assert distort(image, name, strength, 6).shape == image.shape


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.group == "noise"])
def test_the_seed_draws_the_noise(name: str) -> None:
    assert not np.array_equal(distort(SCENE, name, 0.5, 1), distort(SCENE, name, 0.5, 2))


def test_threads_do_not_change_a_learned_codec_s_image() -> None:
    threads = torch.get_num_threads()
    images = []
    for count in (1, 2):
        torch.set_num_threads(count)
        images.append(distort(SCENE, "learned-mse", 0, 0))
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert np.array_equal(*images)


def test_psnr_is_the_metric_s() -> None:
    other = distort(SCENE, "jpeg", 0.5, 0)
    ours, theirs = (torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255 for image in (other, SCENE))
    assert psnr_db(other, SCENE) == pytest.approx(float(metric_psnr_db(ours, theirs)), abs=1e-4)
    assert psnr_db(SCENE, SCENE) == pytest.approx(100)


def test_dct_quantisation_rounds_the_coefficients_of_jpeg_s_blocks() -> None:
    flat = np.full((16, 16, 3), 128 + 20, np.uint8)  # one coefficient, 8 * 20, of steps of 3 * (400 / 3) ** 0.5
    step = 3 * (400 / 3) ** 0.5
    assert (dct_quantisation(flat, 0.5, 0) == round(128 + round(160 / step) * step / 8)).all()


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="kind of distortion 'gausian-blur' is unknown; did you mean 'gaussian-blur'"):
        distort(SCENE, "gausian-blur", 0.5, 0)
