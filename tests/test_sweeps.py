"""Sweeps: W&B's own validator, search and agent make of each YAML command lines that our parser takes."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from lic.cli import parse_config
from lic.settings.train import TrainConfig
from lic.sweep.file import read_sweep

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is written for an older pydantic
    import sweeps
    from sweeps.config import schema_violations_from_proposed_config

ROOT = Path(__file__).parents[1]


def commands(sweep: dict[str, Any]) -> list[list[str]]:
    """The words that `wandb agent` runs, for every run that the search suggests."""
    runs: list[sweeps.SweepRun] = []
    while (run := sweeps.next_run(sweep, runs)) is not None:
        run.state = sweeps.RunState.finished
        runs.append(run)
    words = []
    for run in runs:
        arguments = create_sweep_command_args({"args": run.config})["args"]
        command = [word.replace("${program}", sweep["program"]) for word in create_sweep_command(sweep["command"])]
        index = command.index("${args}")
        words.append([*command[:index], *arguments, *command[index + 1 :]])
    return words


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/sweeps/*.yaml")), ids=lambda path: path.stem)
def test_sweep(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = yaml.safe_load(path.read_text())
    assert schema_violations_from_proposed_config(sweep) == []
    assert (ROOT / sweep["program"]).is_file()
    configs = []
    for command in commands(sweep):
        start = command.index("train.py")
        assert command[:start] == ["${env}", "${interpreter}"]  # the agent's `/usr/bin/env python`
        configs.append(parse_config(TrainConfig, command[start + 1 :], "train.py", ""))
    monkeypatch.chdir(ROOT)
    ours = [run.command[2:-2] for run in read_sweep(path, Path("runs"))]  # without Python, and the run's own folder
    assert ours == [command[2:] for command in commands(sweep)]
    num_runs = math.prod(map(_count, sweep["parameters"].values()))
    assert len({str(config) for config in configs}) == len(configs) == num_runs


def _count(parameter: dict[str, Any]) -> int:
    return len(parameter.get("values", [None]))


def test_the_form_of_an_argument() -> None:
    (command,) = commands({"program": "train.py", "method": "grid", "command": ["${program}", "${args}"],
                           "parameters": {"lmbda": {"values": [0.01]}, "distortion": {"value": "mse"}}})  # fmt: skip
    assert sorted(command) == ["--distortion=mse", "--lmbda=0.01", "train.py"]
