"""Voters: who they are, how they are split, and that they know the demo world."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
import torch

from lic.demo.arrays import SceneArrays, draw_arrays
from lic.demo.drawing import draw_scene
from lic.demo.networks import load_demo_clip
from lic.demo.other_networks import BUILDERS, VoterName, load_voter, voters_folder
from lic.demo.scores import score_network
from lic.preferences.pcmp import voters
from lic.preferences.pcmp.agreement import Task
from lic.preferences.pcmp.voters import PHOTOGRAPH_VOTERS, TIE, Card, ask, build_voters, family_of, vote

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> SceneArrays:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIC_CACHE", str(tmp_path_factory.mktemp("cache")))
        return draw_arrays("val", 64)


@pytest.mark.parametrize(
    ("name", "score", "least"),
    [("mobilenet", "top-1", 0.75), ("vit", "top-1", 0.75), ("ssd", "box AP50", 0.7), ("unet", "mIoU", 0.6),
     ("regnet", "retrieval of the other view", 0.25), ("convnext", "colour", 0.75)],
)  # fmt: skip
def test_shipped_voters_know_held_out_scenes(name: VoterName, score: str, least: float, held_out: SceneArrays) -> None:
    network = load_voter(name)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert score_network(name, network, held_out)[score] >= least


def test_shipped_voters_are_small() -> None:
    assert sum(path.stat().st_size for path in voters_folder().glob("*.safetensors")) <= 4_000_000
    for build in BUILDERS.values():
        assert sum(parameter.numel() for parameter in build().parameters()) <= 350_000


def test_the_demo_world_s_voters_share_no_family_between_groups() -> None:
    cards = [voter.card for voter in build_voters(None, None, CPU)]
    families = {group: {card.family for card in cards if card.group == group} for group in ("fit", "test")}
    assert not families["fit"] & families["test"]
    for group in ("fit", "test"):
        assert {card.task for card in cards if card.group == group} == set(get_args(Task))
    assert len({card.fingerprint for card in cards}) == len(cards)


def test_no_voter_is_the_metric_s_encoder() -> None:
    encoder = _kernels(load_demo_clip().visual)
    assert encoder == _kernels(torch.nn.Sequential(load_demo_clip().visual)) != set()  # found under any name
    for voter in build_voters(None, None, CPU):
        network = voter.predict.network  # type: ignore[attr-defined]  # a TorchNetwork
        assert _kernels(network) and not encoder & _kernels(network)


def _kernels(network: torch.nn.Module) -> set[bytes]:
    return {each.detach().half().numpy().tobytes() for each in network.parameters() if each.dim() > 1}


def test_a_vote_goes_to_the_nearer_prediction() -> None:
    assert vote(0.9, 0.8) == 1
    assert vote(0.8, 0.9) == 0
    assert vote(0.9, 0.9 + TIE / 2) == 0.5


def _scene(number: int) -> torch.Tensor:
    return torch.from_numpy(draw_scene("preferences", number).image).permute(2, 0, 1)[None].float() / 255


def test_every_voter_prefers_the_reference_itself() -> None:
    scene = _scene(7)
    ruined = (scene + 0.35 * torch.randn(scene.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    for name, (own, other) in ask(build_voters(None, None, CPU), scene, torch.cat([scene, ruined])).items():
        assert own == pytest.approx(1, abs=1e-6), name
        assert vote(own, other) == 1, name


def test_batches_do_not_change_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = build_voters(None, None, CPU)
    scene, *others = (_scene(number) for number in (1, 2, 3))
    whole = ask(everyone, scene, torch.cat(others))
    monkeypatch.setattr(voters, "MOST_PIXELS", 1)
    single = ask(everyone, scene, torch.cat(others))
    for name, values in whole.items():
        assert values == pytest.approx(single[name], abs=2e-3)


@pytest.mark.parametrize(
    ("name", "family"),
    [("resnext50_32x4d", "resnet"), ("wide_resnet50_2", "resnet"), ("fasterrcnn_resnet50_fpn_v2", "resnet"),
     ("ssd300_vgg16", "vgg"), ("deeplabv3_mnv2_voc21_513", "mobilenet"), ("yolox_nano_coco80_416", "yolox"),
     ("vit_b_16", "vit"), ("tf_efficientnet_b0", "efficientnet"), ("mixer_b16_224", "mixer")],
)  # fmt: skip
def test_families_by_name(name: str, family: str) -> None:
    assert family_of(name) == family


def held_out_families(families: Sequence[str]) -> set[str]:
    cards = [Card(f"{family}{i}", family, "classification", "fit", "") for i, family in enumerate(families)]
    test = voters._hold_out(cards)
    fit = {card.family for card in cards if card.name not in test}
    assert not fit & {card.family for card in cards if card.name in test}
    return {card.family for card in cards if card.name in test}


def test_a_third_is_held_out_by_family() -> None:
    assert held_out_families(["resnet", "resnet", "resnet", "vit", "swin", "swin"]) == {"vit", "swin"}
    assert held_out_families(["resnet", "vit"]) == {"resnet"}
    families = [family_of(name) for name in PHOTOGRAPH_VOTERS]
    assert held_out_families(families) == {"convnext", "vit", "mobilenet"}
    assert held_out_families(["resnet", "resnet"]) == set()


def test_missing_weights_say_how_to_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="python -m lic demo-networks vit"):
        load_voter("vit", tmp_path)
