"""Sweeps on one machine: W&B's own expansion for comparison, a small program that fails and waits, and train.py."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from lic.codecs import load_codec
from lic.commands.sweep import main
from lic.sweep import run as sweep
from lic.sweep.file import read_sweep

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is written for an older pydantic
    import sweeps

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, os, pathlib, signal, sys, time
settings = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
folder = pathlib.Path(settings["output"], settings["name"])
if "resume" not in settings:
    folder.mkdir()
(folder / "config.yaml").write_text("trainer: {max_steps: 10}")
starts = pathlib.Path("starts.jsonl").open("a")
starts.write(json.dumps([os.environ["OMP_NUM_THREADS"], *sys.argv[1:]]) + "\\n")
starts.close()
with pathlib.Path("gpus.txt").open("a") as file:
    file.write(os.environ.get("CUDA_VISIBLE_DEVICES", "all") + "\\n")
def stop(*_):
    if settings.get("saves") == "True":
        (folder / "last.ckpt").write_text("state")
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
print("at work on seed", settings["seed"], flush=True)
while pathlib.Path("wait").exists() and "resume" not in settings:
    time.sleep(0.02)
if settings["seed"].endswith("13"):
    sys.exit(f"seed {settings['seed']} is unlucky\\n")
pathlib.Path("now.txt").open("a").write("+"); time.sleep(0.1); pathlib.Path("now.txt").open("a").write("-")
(folder / "codec.json").write_text("{}")
from safetensors.numpy import save_file
import numpy
save_file({"x": numpy.zeros(1)}, folder / "codec.safetensors", {"lic": json.dumps({"steps": 10})})
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the small program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def write(path: Path, parameters: dict[str, Any], **others: Any) -> str:
    path.write_text(yaml.safe_dump({"program": "program.py", "method": "grid", "parameters": parameters, **others}))
    return str(path)


def starts(place: Path) -> list[list[str]]:
    return [json.loads(line) for line in (place / "starts.jsonl").read_text().splitlines()]


GRIDS: list[dict[str, Any]] = [
    {"distortion": {"values": ["mse", "mlclipsim"]}, "lmbda": {"values": [0.003, 1e-05, 1.0]}},
    {"seed": {"values": [0, 1]}, "config": {"values": ["a/x.yaml", "b/y.yaml"]}, "eval.limit": {"value": 3}},
    {"lmbda": {"values": [[0.0018, 0.0067], [0.01]]}, "eval.task": {"value": ["coco-det", "voc-seg"]}},
    {"trainer.max_steps": {"values": [1, 2]}, "init": {"value": None}, "save": {"values": [True, False]}},
    {"rate": {"values": ["1e-3", "1e-4"], "distribution": "categorical"}, "x": {"value": "a b"}},
    {"x": {"value": 1}},
]


@pytest.mark.parametrize("parameters", GRIDS)
def test_arguments_are_those_of_wandb(parameters: dict[str, Any], place: Path) -> None:
    path = write(place / "s.yaml", parameters)
    suggested: list[sweeps.SweepRun] = []
    while (run := sweeps.next_run(yaml.safe_load(Path(path).read_text()), suggested)) is not None:
        run.state = sweeps.RunState.finished
        suggested.append(run)
    expected = [create_sweep_command_args({"args": run.config})["args"] for run in suggested]
    runs = read_sweep(Path(path), Path("out"))
    start = ["/usr/bin/env", sys.executable, "program.py"]
    ends = [[f"--output={run.folder.parent}", f"--name={run.folder.name}"] for run in runs]
    assert [run.command for run in runs] == [[*start, *words, *end] for words, end in zip(expected, ends, strict=True)]


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        (GRIDS[0], ["mse-lmbda0.003", "mse-lmbda1e-05", "mse-lmbda1.0", "mlclipsim-lmbda0.003"]),
        (GRIDS[1], ["seed0-x", "seed1-x", "seed0-y", "seed1-y"]),
        (GRIDS[2], ["lmbda0.0018-0.0067", "lmbda0.01"]),
        (GRIDS[3], ["max_steps1-saveTrue", "max_steps2-saveTrue"]),
        (GRIDS[4], ["rate1e-3", "rate1e-4"]),
        (GRIDS[5], ["s"]),
        ({"eval.task": {"values": [["coco-det", "voc-seg"], ["voc-seg"]]}}, ["coco-det-voc-seg", "voc-seg"]),
        ({"init": {"values": ["../a/b.safetensors", "timm:A/B"]}}, ["init.._a_b.safetensors", "timm_A_B"]),
    ],
)
def test_names(parameters: dict[str, Any], names: list[str], place: Path) -> None:
    (place / "s.yaml").write_text(yaml.safe_dump({"program": "program.py", "method": "grid", "parameters": parameters},
                                                 sort_keys=False))  # fmt: skip
    assert [run.folder.name for run in read_sweep(Path("s.yaml"), Path("out"))][: len(names)] == names


def test_runs_every_combination(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(place / "small.yaml", {"seed": {"values": [1, 13, 2]}, "lmbda": {"value": 0.1}}, project="lic")
    assert main([path, "--jobs", "2"]) == 1
    cores = len(os.sched_getaffinity(0))
    ends = [["--output=runs/small", f"--name=seed{seed}"] for seed in (1, 13, 2)]
    expected = [[str(max(cores // 2, 1)), "--lmbda=0.1", f"--seed={end[1][11:]}", *end] for end in ends]
    assert sorted(starts(place)) == sorted(expected)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("small.yaml: 3 runs in runs/small, 0 of them complete already")
    assert lines[1:3] == ["seed1  started", "seed13  started"] and "seed2  started" in lines
    assert sum(bool(re.fullmatch(r"seed\d  done in 0\.\d min", line)) for line in lines) == 2
    (failure,) = [line for line in lines if "failed after" in line]
    assert re.fullmatch(r"seed13  failed after 0\.\d min \(exit code 1\): seed 13 is unlucky  "
                        r"\[runs/small/seed13\.log\]", failure)  # fmt: skip
    assert lines[-2:] == ["2 done, 1 failed", "failed: seed13  [runs/small/seed13.log]"]
    assert (place / "runs/small/seed1.log").read_text() == "at work on seed 1\n"

    assert main([path]) == 1  # the complete ones are left alone, the failed one starts anew in its own folder
    assert starts(place)[3:] == [[str(cores), "--lmbda=0.1", "--seed=13", *ends[1]]]
    assert "2 of them complete already" in capsys.readouterr().out
    assert {entry.name for entry in (place / "runs/small").iterdir() if entry.is_dir()} == {"seed1", "seed13", "seed2"}


def test_what_failed_is_listed_at_the_end(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(place / "s.yaml", {"seed": {"values": [13, 1, 113, 2]}})
    assert main([path, "-o", "out", "--jobs", "2"]) == 1
    *_, count, first, second = capsys.readouterr().out.splitlines()
    assert count == "2 done, 2 failed"
    assert sorted([first, second]) == ["failed: seed113  [out/seed113.log]", "failed: seed13  [out/seed13.log]"]


@pytest.mark.parametrize(
    ("gpus", "jobs", "expected"),
    [("0,1,2,GPU-7", 2, {"0,2", "1,GPU-7"}), ("4", 3, {"4"}), ("0,1", 1, {"0,1"}), ("", 2, {""})],
)
def test_gpus_are_shared_out(
    gpus: str, jobs: int, expected: set[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    path = write(place / "s.yaml", {"seed": {"values": [1, 2, 3]}})
    assert main([path, "-o", "out", "--jobs", str(jobs)]) == 0
    assert set((place / "gpus.txt").read_text().splitlines()) == expected


@pytest.mark.parametrize(("jobs", "expected"), [("1", "+-+-+-"), ("3", "+++---")])
def test_so_many_at_a_time(jobs: str, expected: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    path = write(place / "s.yaml", {"seed": {"values": [1, 2, 3]}})
    if jobs == "3":
        (place / "wait").touch()
        monkeypatch.setattr(sweep.time, "sleep", lambda _: _go_on(place, 3))
    assert main([path, "--jobs", jobs, "-o", "out"]) == 0
    written = (place / "now.txt").read_text()
    assert written == expected or (jobs == "3" and sorted(written) == sorted(expected))
    assert {start[0] for start in starts(place)} == {"5"}


def _go_on(place: Path, num_starts: int) -> None:
    """Let the programs end once so many are at work at the same time."""
    if (place / "starts.jsonl").is_file() and len(starts(place)) >= num_starts:
        (place / "wait").unlink(missing_ok=True)


@pytest.mark.parametrize("saves", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_goes_on_after_an_interruption(saves: bool, number: int, place: Path) -> None:
    write(place / "s.yaml", {"seed": {"values": [1, 2]}, "saves": {"value": saves}})
    (place / "wait").touch()
    process = _start(place)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert output.splitlines()[-1] == "interrupted; the same command goes on" and "seed2  started" not in output
    assert re.search(r"^seed1  stopped after 0\.\d min$", output, re.M)
    folder = place / "runs" / "s" / "seed1"
    assert (folder / "last.ckpt").exists() == saves and not (folder / "codec.safetensors").exists()

    (place / "wait").unlink()
    assert main(["s.yaml"]) == 0
    assert ("--resume=runs/s/seed1/last.ckpt" in starts(place)[1]) == saves
    assert len(starts(place)) == 3 and sweep.is_complete(folder)


def test_a_second_interruption_kills(place: Path) -> None:
    (place / "program.py").write_text(PROGRAM.replace("sys.exit(130)", "pass"))
    write(place / "s.yaml", {"seed": {"values": [1]}})
    (place / "wait").touch()
    process = _start(place)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_nothing_is_started_twice(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not beside another sweep, nor beside a run whose sweep was killed alone."""
    write(place / "s.yaml", {"seed": {"values": [1]}})
    (place / "wait").touch()
    process = _start(place)
    process.kill()
    process.communicate()
    with pytest.raises(ValueError, match="another sweep, or a run that one left behind, is at work in runs/s"):
        main(["s.yaml"])
    (place / "wait").unlink()
    with (place / "runs/s/.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the run has ended
    assert main(["s.yaml"]) == 0
    assert len(starts(place)) == 1


def _start(place: Path) -> subprocess.Popen[str]:
    """Start the sweep s.yaml and return when its first run is at work."""
    command = [sys.executable, "-m", "lic", "sweep", "s.yaml"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    for _ in range(600):
        logs = list(place.glob("runs/s/*.log"))
        if logs and "at work" in logs[0].read_text():
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate())


def test_what_is_complete(tmp_path: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    assert not sweep.is_complete(tmp_path)
    codec = tmp_path / "codec.safetensors"
    save_file({"x": numpy.zeros(1)}, codec, {"lic": json.dumps({"steps": 10})})
    assert sweep.is_complete(tmp_path)
    for max_steps, is_complete in ((10, True), (11, False)):  # of --eval.every_n_steps
        (tmp_path / "config.yaml").write_text(f"trainer: {{max_steps: {max_steps}}}")
        assert sweep.is_complete(tmp_path) == is_complete
    codec.write_bytes(b"damage")
    with pytest.raises(ValueError, match=r"is damaged; move .* away"):
        sweep.is_complete(tmp_path)


def test_strangers_folders_are_kept(place: Path) -> None:
    path = write(place / "s.yaml", {"seed": {"values": [1, 2]}})
    (place / "runs/s/seed2").mkdir(parents=True)
    (place / "runs/s/seed2/notes.txt").touch()
    with pytest.raises(ValueError, match="runs/s/seed2 is in the way: it is not a run's folder; move it"):
        main([path])
    assert not (place / "starts.jsonl").exists() and (place / "runs/s/seed2/notes.txt").exists()


def test_train_py_is_lic_train_where_it_is_not(place: Path) -> None:
    path = Path(write(place / "s.yaml", SEED, program="train.py"))
    (run,) = read_sweep(path, Path("runs"))
    assert run.command[1:5] == [sys.executable, "-m", "lic", "train"]
    (place / "train.py").touch()
    (run,) = read_sweep(path, Path("runs"))
    assert run.command[1:3] == [sys.executable, "train.py"]


GRID = {"method": "grid", "program": "program.py"}
SEED = {"seed": {"values": [1]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("a: [", "is not YAML: while parsing"),
        ("lmbda: 0.01", "is no sweep; expected W&B's keys program, method: grid and parameters"),
        ("- a", "is no sweep"),
        ({**GRID, "parameters": {}}, "is no sweep"),
        ({**GRID, "method": "bayes", "parameters": SEED}, "has method bayes, only grid runs here; .* wandb sweep"),
        ({**GRID, "parameters": SEED, "comand": []}, "key 'comand' is unknown; did you mean 'command'"),
        ({**GRID, "parameters": SEED, "run_cap": 2}, "'run_cap' takes W&B's server"),
        ({**GRID, "parameters": {"seed": {"min": 1, "max": 3}}}, "parameter 'seed' of a grid has either value or val"),
        ({**GRID, "parameters": {"seed": 1}}, "parameter 'seed' of a grid has either value or values"),
        ({**GRID, "parameters": {"seed": {"values": []}}}, "values of 'seed' is no list, or empty"),
        ({**GRID, "parameters": {"seed": {"values": [1, 1]}}}, "2 runs would have the folder runs/s/seed1"),
        ({**GRID, "parameters": {"t": {"parameters": SEED}}}, "parameter 't' is nested; write t.KEY: {values"),
        ({**GRID, "parameters": {"name": {"value": "x"}}}, "parameter 'name' is not free"),
        ({**GRID, "parameters": SEED, "program": "absent.py"}, "program absent.py does not exist in"),
        ({"method": "grid", "parameters": SEED}, "program None does not exist in"),
        ({**GRID, "parameters": SEED, "command": "a"}, "command is no list"),
        ({**GRID, "parameters": SEED, "command": ["${program}"]}, "its command has no '\\${args}'"),
        ({**GRID, "parameters": SEED, "command": ["x", "${args}", "${args_json}"]}, "'\\${args_json}' in its command"),
        ({**GRID, "parameters": SEED, "command": ["no-such", "${args}"]}, "there is no program no-such to start"),
    ],
)
def test_what_is_no_grid_sweep_is_refused(content: Any, message: str, place: Path) -> None:
    if content is not None:
        (place / "s.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(ValueError, match=message) as caught:
        main(["s.yaml"])
    assert "\n" not in str(caught.value) and not (place / "runs").exists()


def test_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    sizes = {"trainer.max_steps": 2, "num_channels": 8, "num_latent_channels": 12, "batch_size": 2, "num_workers": 0,
             "eval.limit": 2, "eval.task": ["imagenet-cls"], "wandb.mode": "disabled",
             "trainer.accelerator": "cpu"}  # fmt: skip
    parameters = {"distortion": {"values": ["mse", "mlclipsim"]}, **{key: {"value": sizes[key]} for key in sizes}}
    path = write(tmp_path / "pair.yaml", parameters, program="train.py")
    assert main([path, "-o", str(tmp_path / "out")]) == 0, capsys.readouterr().out
    for distortion in ("mse", "mlclipsim"):
        folder = tmp_path / "out" / distortion
        header = load_codec(folder / "codec.safetensors").header
        assert (header.steps, header.distortion) == (2, distortion)
        assert f"checkpoint {folder / 'codec.safetensors'}" in (tmp_path / "out" / f"{distortion}.log").read_text()
        assert any(folder.glob("*.json"))
    assert main([path, "-o", str(tmp_path / "out")]) == 0
    assert "2 of them complete already" in capsys.readouterr().out
