"""Training the demo networks: two steps of each, from drawing to a file that loads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from lic.commands.demo_networks import main
from lic.demo import networks as demo
from lic.demo.arrays import draw_arrays, jpeg_compressed
from lic.demo.drawing import COLOURS, SHAPES, SIZES, TEXTURES
from lic.demo.losses import PIECE_PX, _covariance, attribute_targets, cut_pieces, draw_view
from lic.demo.other_networks import load_voter
from lic.demo.reader import load_scene_reader
from lic.demo.scores import _box_ap50, _mean_iou
from lic.demo.train import NAMES, VOTERS


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path_factory.getbasetemp() / "arrays"))


def test_two_steps_make_files_that_load(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    few = ["--steps", "2", "--num_scenes", "8", "--num_val", "4", "--threads", "1", "--output", str(tmp_path)]
    main(few)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(NAMES)
    main(["voters", *few])
    torch.set_num_threads(threads)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted((*NAMES, *VOTERS))
    load = (demo.load_demo_clip, demo.load_demo_classifier, demo.load_demo_detector, demo.load_demo_segmenter,
            load_scene_reader)  # fmt: skip
    for loader in load:
        loader(tmp_path)
    for name in VOTERS:
        load_voter(name, tmp_path)
    with safe_open(tmp_path / "classifier.safetensors", framework="pt") as stored:
        assert {"name", "seed", "steps", "top-1", "top-1 on JPEG quality 10"} <= set(stored.metadata())


def test_an_unknown_network_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["clop"])
    error = capsys.readouterr().err
    assert "network 'clop' is unknown; choose from: clip, classifier, detector, segmenter, reader, mob" in error


def test_jpeg_is_pillow_s(tmp_path: Path) -> None:
    scenes = draw_arrays("val", 2)
    Image.fromarray(scenes.images[1]).save(tmp_path / "scene.jpg", quality=10)
    assert np.array_equal(jpeg_compressed(scenes, 10).images[1], np.asarray(Image.open(tmp_path / "scene.jpg")))


def test_perfect_answers_score_one() -> None:
    scenes = draw_arrays("val", 8)

    def oracle(images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        present = [labels >= 0 for labels in scenes.labels]
        return [
            {
                "boxes": torch.from_numpy(scenes.boxes[i][p]),
                "labels": torch.from_numpy(scenes.labels[i][p] + 1),
                "scores": torch.ones(int(p.sum())),
            }
            for i, p in enumerate(present)
        ]

    assert _box_ap50(oracle, scenes) == pytest.approx(1)  # type: ignore[arg-type]
    assert _mean_iou(scenes.masks, scenes.masks) == 1


def test_captions_tell_the_main_object_s_attributes() -> None:
    scenes = draw_arrays("val", 16)
    targets = attribute_targets(scenes)
    for row, caption in enumerate(scenes.captions):
        size, colour, texture = (
            list(names)[index]
            for names, index in (
                (SIZES, targets.size[row]), (COLOURS, targets.colour[row]), (TEXTURES, targets.texture[row])
            )
        )  # fmt: skip
        assert str(caption).startswith(f"a {size} {colour} {texture} ")
    assert torch.equal(targets.box, torch.from_numpy(scenes.boxes[:, 0]))


def test_a_view_shifts_mirrors_and_recolours_but_never_resamples() -> None:
    ramp = torch.linspace(0.4, 0.6, 64).expand(1, 3, 64, 64)
    view = draw_view(ramp, np.random.default_rng(0))
    for channel, original in zip(view[0], ramp[0], strict=True):
        assert len(channel.unique()) <= len(original.unique())  # no value between two pixels'
    assert not torch.equal(view, draw_view(ramp, np.random.default_rng(1)))


def test_vicreg_by_hand() -> None:
    # two dimensions that carry the same values of variance 4: nothing to spread, everything shared
    column = torch.tensor([-2.0, 2.0, -2.0, 2.0]) * (3 / 4) ** 0.5
    z = torch.stack([column, column], 1)
    assert float(_covariance(z)) == pytest.approx(2 * 4**2 / 2)
    assert float(_covariance(torch.stack([column, column[[0, 1, 3, 2]]], 1))) == pytest.approx(0, abs=1e-6)


def test_pieces_show_what_their_captions_say() -> None:
    scenes = draw_arrays("val", 8)
    pieces, captions = cut_pieces(scenes, np.random.default_rng(0))
    assert pieces.shape == (8, PIECE_PX, PIECE_PX, 3)
    for row, (piece, caption) in enumerate(zip(pieces, captions, strict=True)):
        windows = np.lib.stride_tricks.sliding_window_view(scenes.images[row, ..., 0], (PIECE_PX, PIECE_PX))
        ((top, left),) = np.argwhere((windows == piece[..., 0]).all(axis=(2, 3)))
        expected = []
        for (x0, y0, x1, y1), label in zip(scenes.boxes[row], scenes.labels[row], strict=True):
            x, y = (x0 + x1) / 2 - left, (y0 + y1) / 2 - top
            if label >= 0 and 0 <= x < PIECE_PX and 0 <= y < PIECE_PX:
                across, down = "left" if x < PIECE_PX / 2 else "right", "upper" if y < PIECE_PX / 2 else "lower"
                expected.append((SHAPES[label], f"{down} {across}"))
        told = [thing.split(" at the ") for thing in caption.split(" and ")]
        assert expected and [(thing.split()[-1], place) for thing, place in told] == expected
