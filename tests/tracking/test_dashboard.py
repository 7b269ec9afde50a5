"""The dashboard: its specification names the keys that runs log. No test has seen it in W&B."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lic.__main__ import main
from lic.settings.tracking import WandbConfig
from lic.tracking.curves import log_curve, log_results
from lic.tracking.dashboard import build_workspace
from lic.tracking.runs import start_wandb
from tests.made_results import MakeResults
from tests.wandb_file import read_run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb_workspaces


@pytest.fixture
def sections() -> list[dict[str, Any]]:
    view = build_workspace("team", "lic", ["coco-det", "imagenet-cls"])._to_model()
    assert (view.entity, view.project, view.display_name) == ("team", "lic", "rate-task curves")
    spec = json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))
    assert spec["section"]["runSets"][0]["grouping"] == [{"section": "run", "name": "group"}]
    found: list[dict[str, Any]] = spec["section"]["panelBankConfig"]["sections"]
    return found


def words(value: Any) -> Iterator[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value.removeprefix("summary:")
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from words(each)


def test_sections(sections: list[dict[str, Any]]) -> None:
    names = [section["name"] for section in sections]
    assert names == ["rate_task/coco-det", "rate_task/imagenet-cls", "metrics", "media", "training"]
    chart, lines, points = sections[0]["panels"]
    assert chart["viewType"] == "Vega2" and chart["config"]["panelDefId"] == "wandb/lineseries/v0"
    assert chart["config"]["fieldSettings"] == {"step": "bpp", "lineKey": "curve", "lineVal": "score"}
    assert (lines["viewType"], points["viewType"]) == ("Run History Line Plot", "Scatter Plot")
    assert sections[3]["panels"][0]["config"]["mediaKeys"] == ["samples/original", "samples/reconstruction"]


def test_keys_are_those_that_runs_log(
    sections: list[dict[str, Any]], tmp_path: Path, make_results: MakeResults
) -> None:
    with start_wandb(WandbConfig(mode="offline"), "a", {}, tmp_path, "eval", "codec / mse", [0.01]) as run:
        log_results([make_results([0.1], [20.0])], [tmp_path])
        log_curve(make_results([0.1], [20.0]))
        folder = Path(run.dir).parent
    logged = set(read_run(folder).summary)
    asked = {word for section in sections[:3] for word in words(section["panels"]) if word.startswith("rate_task/")}
    assert len(asked) == 11 and asked <= logged


def test_without_an_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(["dashboard", "--project", "lic"])
    output = capsys.readouterr()
    assert output.err.startswith("lic dashboard: the dashboard is kept by W&B and this machine is not logged in")
    assert output.err.count("\n") == 1 and not output.out


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    with pytest.raises(ValueError, match=r"pip install 'lic\[dashboard\]'"):
        build_workspace("team", "lic", ["coco-det"])
