"""W&B sweep files as `wandb sweep` takes them -> the runs of their grid, each with its name and its command line."""

import itertools
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lic.cli import unknown
from lic.settings import require

ABOUT_WANDB = ("project", "entity", "name", "description", "metric")  # say nothing of what is run
KEYS = ("program", "method", "parameters", "command", *ABOUT_WANDB)
DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
OURS = ("output", "name", "resume")


class Run(NamedTuple):
    """One combination of a grid.

    Attributes:
        folder: the run's own, named by the parameters that vary.
        command: words that start it, `--output` and `--name` last.
    """

    folder: Path
    command: list[str]


def read_sweep(path: Path, output: Path) -> list[Run]:
    """Return the runs of a grid sweep, in the order in which W&B suggests them: the last name varies fastest.

    Args:
        path: a YAML file with W&B's keys program, method, parameters and command.
        output: the folder that gets the runs' folders.

    Raises:
        ValueError: in one line: no YAML, no sweep, or one that takes W&B's server.
    """
    sweep = _read_yaml(path)
    for key in sweep:
        is_servers = key in ("early_terminate", "run_cap", "job", "image_uri")
        require(not is_servers, f"sweep {path}: '{key}' takes W&B's server; start it with: wandb sweep {path}")
        require(key in KEYS, f"sweep {path}: {unknown('key', str(key), KEYS)}")
    require(sweep["method"] == "grid",
            f"sweep {path} has method {sweep['method']}, only grid runs here; for others: wandb sweep {path}")
    grid = {str(name): _values(path, name, spec) for name, spec in sweep["parameters"].items()}
    words = _command_words(path, sweep)
    runs = []
    for values in itertools.product(*(grid[name] for name in sorted(grid))):
        chosen = dict(zip(sorted(grid), values, strict=True))
        name = _run_name({key: chosen[key] for key in grid if len(grid[key]) > 1}) or path.stem
        runs.append(Run(output / name, [*_expand(words, chosen), f"--output={output}", f"--name={name}"]))
    ((folder, count),) = Counter(run.folder for run in runs).most_common(1)
    require(count == 1, f"sweep {path}: {count} runs would have the folder {folder}; give different values, YAML files "
                        "of different names")
    return runs


def _read_yaml(path: Path) -> dict[str, Any]:
    require(path.is_file(), f"sweep {path} does not exist")
    try:
        sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"sweep {path} is not YAML: {' '.join(str(error).split())}") from error
    is_sweep = isinstance(sweep, dict) and "method" in sweep and isinstance(sweep.get("parameters"), dict)
    require(is_sweep and sweep["parameters"], f"{path} is no sweep; expected W&B's keys program, method: grid and "
                                              "parameters, as in configs/sweeps/demo.yaml")
    assert isinstance(sweep, dict)
    return sweep


def _values(path: Path, name: str, spec: Any) -> list[Any]:
    """Return the values that a parameter takes."""
    require(name not in OURS, f"sweep {path}: parameter '{name}' is not free, each run gets its own")
    nested = isinstance(spec, dict) and "parameters" in spec
    require(not nested, f"sweep {path}: parameter '{name}' is nested; write {name}.KEY: {{values: [...]}}")
    keys = set(spec) - {"distribution"} if isinstance(spec, dict) else set()
    require(keys in ({"value"}, {"values"}), f"sweep {path}: parameter '{name}' of a grid has either value or values")
    values = spec["values"] if "values" in spec else [spec["value"]]
    require(isinstance(values, list) and len(values) > 0, f"sweep {path}: values of '{name}' is no list, or empty")
    return list(values)


def _command_words(path: Path, sweep: Mapping[str, Any]) -> list[str]:
    """Return the sweep's command with all but `${args}` filled in as `wandb agent` does, but with our own Python."""
    command = sweep.get("command") or DEFAULT_COMMAND
    require(isinstance(command, Sequence) and not isinstance(command, str), f"sweep {path}: command is no list")
    program = str(sweep.get("program"))
    is_installed = program == "train.py" and not Path(program).is_file()
    fillings = {"${env}": ["/usr/bin/env"], "${interpreter}": [sys.executable],
                "${program}": ["-m", "lic", "train"] if is_installed else [program]}  # fmt: skip
    words = [part for word in map(str, command) for part in fillings.get(word, [word])]
    require("${args}" in words, f"sweep {path}: its command has no '${{args}}', which hands over the parameters")
    macro = next((word for word in words if "${" in word and word != "${args}"), None)
    require(macro is None, f"sweep {path}: '{macro}' in its command takes wandb agent; start with: wandb sweep {path}")
    require("${program}" not in command or is_installed or Path(program).is_file(),
            f"sweep {path}: program {program} does not exist in {Path.cwd()}")
    require(shutil.which(words[0]) is not None, f"sweep {path}: there is no program {words[0]} to start its command")
    return words


def _expand(words: Sequence[str], chosen: Mapping[str, Any]) -> list[str]:
    """Return the command with `--key=value` for `${args}`, sorted by key as W&B hands them over."""
    arguments = [f"--{name}={value}" for name, value in sorted(chosen.items())]
    return [part for word in words for part in (arguments if word == "${args}" else [word])]


def _run_name(varying: Mapping[str, Any]) -> str:
    """Return a folder's name such as `mlclipsim-seed1`: words stand for themselves, numbers follow their setting."""
    return "-".join(_describe(name.split(".")[-1], value) for name, value in varying.items())


def _describe(setting: str, value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    texts = [Path(text).stem if text.endswith((".yaml", ".yml")) else text for text in map(str, values)]
    speaks = all(isinstance(value, str) for value in values) and texts and texts[0][:1].isalpha()
    return re.sub(r"[^\w.+=-]+", "_", ("" if speaks else setting) + "-".join(texts))
