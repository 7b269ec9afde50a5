"""Training the demo networks: two steps of each, from drawing to a file that loads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from lic.backbones import demo
from lic.training.demo_arrays import draw_arrays, jpeg_compressed
from lic.training.demo_networks import NAMES, main
from lic.training.demo_scores import _box_ap50, _mean_iou


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path_factory.getbasetemp() / "arrays"))


def test_two_steps_make_files_that_load(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    main(["--steps", "2", "--num_scenes", "8", "--num_val", "4", "--threads", "1", "--out", str(tmp_path)])
    torch.set_num_threads(threads)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(NAMES)
    load = (demo.load_demo_clip, demo.load_demo_classifier, demo.load_demo_detector, demo.load_demo_segmenter)
    for loader in load:
        loader(tmp_path)
    with safe_open(tmp_path / "classifier.safetensors", framework="pt") as stored:
        assert {"name", "seed", "steps", "top-1", "top-1 on JPEG quality 10"} <= set(stored.metadata())


def test_an_unknown_network_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["clop"])
    assert "network 'clop' is unknown; choose from: clip, classifier, detector, segmenter" in capsys.readouterr().err


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
