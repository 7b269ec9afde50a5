"""The demo networks: shapes, frozenness, and that the shipped weights know the world."""

from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from lic.demo import networks as demo
from lic.demo.arrays import SceneArrays, draw_arrays
from lic.demo.drawing import COLOURS, SHAPES, SIZES, TEXTURES, draw_scene
from lic.demo.reader import load_scene_reader
from lic.demo.scores import score_network

IMAGES = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
LOADERS = {
    "clip": demo.load_demo_clip,
    "classifier": demo.load_demo_classifier,
    "detector": demo.load_demo_detector,
    "segmenter": demo.load_demo_segmenter,
    "reader": load_scene_reader,
}


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> SceneArrays:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIC_CACHE", str(tmp_path_factory.mktemp("cache")))
        return draw_arrays("val", 64)


@pytest.mark.parametrize("name", LOADERS)
def test_networks_come_back_frozen(name: str) -> None:
    network = LOADERS[name]()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_clip_tokens_reach_the_image() -> None:
    visual = demo.load_demo_clip().visual
    images = IMAGES.clone().requires_grad_(True)
    normalised = normalize(images, list(visual.image_mean), list(visual.image_std))
    features = visual.forward_intermediates(normalised, indices=[2, 4])
    tokens, embedding = features["image_intermediates"], features["image_features"]
    assert [token.shape for token in tokens] == [(2, 128, 16, 16), (2, 256, 4, 4)]
    assert embedding.shape == (2, 128)
    tokens[1].square().mean().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


def test_task_networks_answer_in_torchvision_form() -> None:
    assert demo.load_demo_classifier()(IMAGES).shape == (2, 10)
    assert demo.load_demo_segmenter()(IMAGES).shape == (2, 11, 128, 128)
    answers = demo.load_demo_detector()(list(IMAGES))
    assert len(answers) == 2
    for answer in answers:
        assert answer["boxes"].shape == (len(answer["scores"]), 4)
        assert ((answer["labels"] >= 1) & (answer["labels"] <= 10)).all()


def test_tokens_cover_the_world() -> None:
    words = [*SHAPES, *COLOURS, *TEXTURES, *SIZES]
    assert set(words) <= set(demo.WORDS)
    tokens = demo.demo_tokenize([" ".join(words[:5]), *(draw_scene("train", i).caption for i in range(30))])
    assert tokens.shape == (31, demo.CONTEXT_LENGTH)
    assert (tokens.max(dim=1).values == demo.END).all()


def test_unknown_words_are_named() -> None:
    with pytest.raises(ValueError, match="does not know 'zebra'"):
        demo.demo_tokenize(["a zebra"])
    with pytest.raises(ValueError, match="30 words at most"):
        demo.demo_tokenize([31 * "a "])


def test_missing_weights_say_where_and_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="python -m lic demo-networks classifier"):
        demo.load_demo_classifier(tmp_path)
    monkeypatch.setenv("LIC_CHECKPOINTS", str(tmp_path))
    assert demo.demo_folder() == tmp_path / "demo"


@pytest.mark.parametrize(
    ("name", "score", "least"),
    [
        ("clip", "retrieval top-5", 0.5),
        ("classifier", "top-1", 0.8),
        ("detector", "box AP50", 0.7),
        ("segmenter", "mIoU", 0.6),
        ("reader", "right answers", 0.85),
    ],
)
def test_shipped_weights_know_held_out_scenes(
    name: demo.NetworkName, score: str, least: float, held_out: SceneArrays
) -> None:
    assert score_network(name, LOADERS[name](), held_out)[score] >= least
