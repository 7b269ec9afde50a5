"""PCMP on disk: what is written is read back, splits do not leak, recipes draw the same image."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lic.degradations import KINDS
from lic.images import read_image
from lic.metrics import psnr_db
from lic.preferences.pcmp.files import PCMP, as_preference_set, load_pcmp, soft_label


def test_pairs_are_matched_on_disk(small_pcmp: PCMP) -> None:
    assert len(small_pcmp.pairs) == 8
    for pair in small_pcmp.pairs:
        reference = read_image(small_pcmp.folder / pair.reference)
        qualities = [float(psnr_db(small_pcmp.read(pair, one), reference)) for one in (pair.a, pair.b)]
        assert qualities == pytest.approx([pair.a.psnr_db, pair.b.psnr_db], abs=1e-4)
        assert abs(qualities[0] - qualities[1]) <= 0.1 + 1e-6
        assert KINDS[pair.a.kind].group != KINDS[pair.b.kind].group


def test_recipes_draw_the_same_images(small_pcmp: PCMP) -> None:
    for pair in small_pcmp.pairs:
        for one in (pair.a, pair.b):
            drawn = small_pcmp.read(pair, dataclasses.replace(one, file=None))
            assert torch.equal(drawn, small_pcmp.read(pair, one))


def test_an_image_drawn_otherwise_is_refused(small_pcmp: PCMP) -> None:
    pair = small_pcmp.pairs[0]
    other = dataclasses.replace(pair.a, file=None, strength=pair.a.strength / 2)
    with pytest.raises(ValueError, match="is not drawn as it was voted on"):
        small_pcmp.read(pair, other)


def test_splits_by_reference_do_not_leak(small_pcmp: PCMP) -> None:
    references = {split: {pair.reference for pair in small_pcmp.select(split)} for split in ("fit", "test", "all")}
    assert references["fit"] and references["test"]
    assert not references["fit"] & references["test"]
    assert references["fit"] | references["test"] == references["all"]


def test_votes_follow_the_consistencies(small_pcmp: PCMP) -> None:
    for pair in small_pcmp.pairs:
        for name, (a, b) in pair.consistency.items():
            if abs(a - b) > 1e-3:
                assert pair.votes[name] == float(a > b)


def test_soft_labels_are_the_group_s(small_pcmp: PCMP) -> None:
    test = small_pcmp.voters_of("test")
    assert {card.name for card in small_pcmp.voters if card.group == "test"} == set(test)
    compared = as_preference_set(small_pcmp, "test").compared
    pairs = small_pcmp.select("test")
    assert [one.preference for one in compared] == [soft_label(pair, test) for pair in pairs]
    assert compared[0].kind == f"{pairs[0].a.kind} / {pairs[0].b.kind}"
    everyone = as_preference_set(small_pcmp, "test", "all").compared[0].preference
    assert everyone == pytest.approx(np.mean(list(pairs[0].votes.values())))
    assert torch.equal(compared[0].first.read(), read_image(small_pcmp.folder / str(pairs[0].a.file)))


def test_the_manifest_is_read_back(small_pcmp: PCMP) -> None:
    lines = (small_pcmp.folder / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(pair.to_json()) for pair in small_pcmp.pairs]
    assert small_pcmp.description["settings"]["tolerance_db"] == 0.1
    assert small_pcmp.description["statistics"]["num_pairs"] == 8


def changed(pcmp: PCMP, folder: Path, name: str, old: str, new: str) -> Path:
    """Return a copy in which a text of a file is another."""
    copy = folder / "copy"
    shutil.copytree(pcmp.folder, copy)
    content = (copy / name).read_text()
    assert old in content
    (copy / name).write_text(content.replace(old, new, 1))
    return copy


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("manifest.jsonl", '{"id"', '{"idd"', "manifest.jsonl line 1 is no pair"),
        ("manifest.jsonl", '{"id"', '"id"', "manifest.jsonl line 1 is no pair"),
        ("manifest.jsonl", '"demo-vit"', '"demo-wit"', "line 1: votes are by"),
        ("manifest.jsonl", "references/", "elsewhere/", "lacks 1 of its files"),
        ("manifest.jsonl", '"split": "', '"split": "in', "split is fit or test"),
        ("manifest.jsonl", '"kind": "', '"kind": "un', "is unknown to this version"),
        ("pcmp.json", '"num_pairs": 8', '"num_pairs": 9', "has 8 pairs, but .* says 9"),
        ("pcmp.json", '"voters"', '"electors"', "is no description of a PCMP"),
        ("pcmp.json", '"format": 1', '"format": 2', "is of format 2, not 1"),
    ],
)
def test_damage_is_one_line(
    small_pcmp: PCMP, tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_pcmp(changed(small_pcmp, tmp_path, name, old, new))
    assert "\n" not in str(caught.value)


def test_a_missing_set_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pcmp.json is missing; python -m lic preferences build --output"):
        load_pcmp(tmp_path)


def test_a_group_without_voters_is_said(small_pcmp: PCMP) -> None:
    fit_only = dataclasses.replace(small_pcmp, voters=[card for card in small_pcmp.voters if card.group == "fit"])
    with pytest.raises(ValueError, match="has no voters in the group 'test'"):
        as_preference_set(fit_only, "test")
