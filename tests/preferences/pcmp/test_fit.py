"""Fitting to PCMP: distances as the metric has them, held-out votes, a JSON that ML-CLIPSim takes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from lic.distortions import MLCLIPSim, build_mlclipsim
from lic.images import read_image
from lic.preferences.pcmp.files import PCMP, load_pcmp
from lic.preferences.pcmp.fit import Variant, Votes, cross_validate, main, read_votes, variants
from lic.settings.metrics import MLCLIPSimConfig

WEIGHTS = np.array([0.7, 0.0, 0.3])


def drawn_votes() -> Votes:
    """Votes of three voters for 600 pairs of 60 references, drawn from known weights."""
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(600, 3)) * [0.02, 0.2, 0.05]
    shares = expit(differences @ WEIGHTS / 0.01)
    return Votes(differences, rng.binomial(1, shares[:, None], (600, 3)).astype(float), np.arange(600) // 10)


def test_distances_are_the_metrics(small_pcmp: PCMP) -> None:
    metric = MLCLIPSim(MLCLIPSim.from_pretrained("demo").backbone, range(5)).eval()
    votes = read_votes(small_pcmp, metric)
    pairs = small_pcmp.select("fit")
    assert votes.differences.shape == (len(pairs), 6) and len(pairs) > 0
    assert votes.labels.shape == (len(pairs), len(small_pcmp.voters_of("fit")))
    for layer, weights in ((2, [1, 0]), (4, [0, 1])):
        single = MLCLIPSim(metric.backbone, [layer], weights).eval()
        for pair, row in zip(pairs, votes.differences, strict=True):
            original = read_image(small_pcmp.folder / pair.reference)
            with torch.no_grad():
                first, second = (single.distance(small_pcmp.read(pair, one), original) for one in (pair.a, pair.b))
            column = layer if weights[1] == 0 else 5
            assert row[column] == pytest.approx((second - first).item(), abs=2e-5)


def test_fitted_weights_win_on_held_out_votes() -> None:
    votes = drawn_votes()
    fitted, uniform = (cross_validate(votes, Variant("", (0, 1, 2), is_fitted), 5) for is_fitted in (True, False))
    assert fitted.accuracy > uniform.accuracy + 0.05
    assert fitted.cross_entropy < uniform.cross_entropy < np.log(2)
    right, wrong = (cross_validate(votes, Variant("", (part,), False), 5) for part in (0, 1))
    assert right.accuracy > 0.65 and abs(wrong.accuracy - 0.5) < 0.05


def test_votes_without_a_pattern_are_not_followed() -> None:
    """A fit that saw what it is judged on would beat chance here."""
    votes = drawn_votes()
    blind = votes._replace(labels=np.random.default_rng(1).integers(0, 2, (600, 3)).astype(float))
    found = cross_validate(blind, Variant("", (0, 1, 2), True), 5)
    assert abs(found.accuracy - 0.5) < 0.04 and found.cross_entropy > np.log(2) - 1e-3


def test_variants_name_every_part() -> None:
    found = {variant.name: variant.parts for variant in variants([1, 4])}
    assert found["fitted"] == (0, 1, 2) and found["tokens only, uniform"] == (0, 1)
    assert found["embedding only"] == (2,) and found["layer 4 only"] == (1,)


def test_too_few_references_are_refused() -> None:
    with pytest.raises(ValueError, match="60 references are too few for 70 folds"):
        cross_validate(drawn_votes(), Variant("", (0,), False), 70)


def vote_as_the_embedding_does(pcmp: PCMP, folder: Path) -> PCMP:
    """Return a copy in which every voter prefers the image whose embedding stays nearer."""
    shutil.copytree(pcmp.folder, folder)
    metric = MLCLIPSim(MLCLIPSim.from_pretrained("demo").backbone, range(5)).eval()
    differences = iter(read_votes(load_pcmp(folder), metric).differences[:, 5])
    lines = []
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        pair = json.loads(line)
        if pair["split"] == "fit":
            pair["votes"] = dict.fromkeys(pair["votes"], float(next(differences) > 0))
        lines.append(json.dumps(pair))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return load_pcmp(folder)


def test_command(small_pcmp: PCMP, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_pcmp = vote_as_the_embedding_does(small_pcmp, tmp_path / "pcmp")
    output = tmp_path / "fitted" / "fitted.json"
    assert main(["--pcmp", str(small_pcmp.folder), "--folds", "2", "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "embedding only" in printed and "tokens only, fitted" in printed
    content = json.loads(output.read_text())
    metric = build_mlclipsim(MLCLIPSimConfig(fitted=str(output)))
    assert metric.layers == content["layers"] == list(range(5))
    assert metric.layer_weights.tolist() == pytest.approx(content["weights"], abs=1e-5)
    assert content["made_from"]["held_out_accuracy"] > 0.5
    (cached,) = (small_pcmp.folder / "distances").glob("*.npy")
    before = cached.stat().st_mtime_ns
    main(["--pcmp", str(small_pcmp.folder), "--folds", "2", "-o", str(output)])
    assert cached.stat().st_mtime_ns == before and json.loads(output.read_text()) == content
