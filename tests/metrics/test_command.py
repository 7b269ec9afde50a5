"""`python -m lic metrics`: the list, for people and machines."""

import json
from pathlib import Path
from typing import get_args

import pytest

from lic.commands.metrics import main
from lic.metrics import CARDS
from lic.settings.names import DistortionName
from tests.untrained import write_trunk


def test_table_fits_and_names_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")  # which rich would take from a terminal that runs the tests
    main([])
    table, _, needs = capsys.readouterr().out.partition("lpips needs")
    assert all(len(line) <= 120 for line in table.splitlines())
    rows = {line.split()[0]: line for line in table.splitlines()[3:] if line.strip() and not line.startswith("  ")}
    assert set(rows) == {card.name for card in CARDS}
    assert "missing" in rows["lpips"] and "here" in rows["mlclipsim"] and "none" in rows["psnr"]
    assert "alexnet-owt-7be5be79.pth" in needs and "233 MB" in needs and f"{tmp_path}/hub/checkpoints" in needs
    write_trunk("alexnet")
    main([])
    table, _, needs = capsys.readouterr().out.partition("dists needs")
    assert "lpips needs" not in table and "vgg16-397923af.pth" in needs and "528 MB" in needs


def test_json_holds_every_card(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--json"])
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert set(records) == {card.name for card in CARDS}
    assert (records["vif"]["lowest"], records["vif"]["highest"]) == (0, None)
    assert records["psnr"]["distortion"] == "mse" and records["psnr"]["weights_here"] is None
    assert records["mlclipsim"]["weights_here"] is True
    reachable = {record["distortion"] for record in records.values()} - {None}
    assert reachable == set(get_args(DistortionName))


def test_metrics_with_weights_say_where_these_belong() -> None:
    for card in CARDS:
        assert (card.weights == "none") == (card.locate is None), card.name
        if card.locate is not None:
            assert card.locate()[0].name in card.how_to_get


def test_help_and_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert "--json" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["--jsno"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "lic metrics: expected nothing or --json, got: --jsno\n"
