"""`lic train` and `lic eval` are train.py and eval.py, each under the name by which it was called."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from lic import __main__
from lic.settings.evaluate import EvalConfig
from lic.settings.train import TrainConfig

ROOT = Path(__file__).parents[2]


def called(command: str) -> Callable[[list[str]], int | None]:
    """What `python train.py`, `lic eval` and the like run with their arguments."""
    program, name = command.split()
    if program == "python":
        main: Callable[[list[str]], int] = runpy.run_path(str(ROOT / name))["main"]
        return main
    return lambda arguments: __main__.main([name, *arguments])


@pytest.mark.parametrize("command", ["python train.py", "lic train"])
def test_train(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, str]] = []
    monkeypatch.setattr("lic.training.run.train", lambda config, *_: calls.append((config, _[-1])))
    called(command)(["--lmbda", "0.02"])
    assert calls == [(TrainConfig(lmbda=0.02), command)]


@pytest.mark.parametrize("command", ["python eval.py", "lic eval"])
def test_eval(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr("lic.evaluation.run.evaluate", lambda config, _: calls.append(config))
    assert not called(command)(["--task", "coco-det"])
    assert calls == [EvalConfig(task=["coco-det"])]


@pytest.mark.parametrize("command", ["python train.py", "lic train", "python eval.py", "lic eval"])
def test_help_and_mistakes_name_the_program(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        called(command)(["--help"])
    text = capsys.readouterr().out
    other = f"lic {Path(command.split()[1]).stem}" if command.startswith("python") else "python"
    assert text.count(f"\n{command} --") >= 4 and f"\n{other} " not in text
    with pytest.raises(SystemExit):
        called(command)(["--eval.limit" if "train" in command else "--limit", "0"])
    assert capsys.readouterr().err.startswith(f"{command.removeprefix('python ')}: limit must be positive")


def test_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lic.training.run.train", lambda *_: 130)
    with pytest.raises(SystemExit) as caught:
        __main__.main(["train"])
    assert caught.value.code == 130
