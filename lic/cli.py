"""YAML and command line -> a frozen dataclass of `lic.settings`; every mistake is one line and exit code 2.

`--config a.yaml --key value` overrides from left to right, unknown keys are refused, `--print_config` shows the
result, and the file written by `save_config` reruns the experiment.
"""

import argparse
import contextlib
import dataclasses
import difflib
import itertools
import json
import math
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import jsonargparse
import yaml

from lic.atomic import write_file
from lic.embedded import here_or_embedded
from lic.printing import printable
from lic.settings import require
from lic.settings.names import TRAINER_FURTHER, TRAINER_TAKEN

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)

KEEP_LINES = argparse.RawDescriptionHelpFormatter
"""For commands whose help is their docstring as it is written."""
_SHORT = {"-o": "--output", "-h": "--help", "--for": "--reader"}
RENAMED = {"mlclipsim.pretrained": "mlclipsim.backbone", "mlclipsim.encoder": "mlclipsim.backbone"}
"""Settings of before 2026-11-27."""
_NUMBER = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?$", re.I)

Config = TypeVar("Config", bound="DataclassInstance")


INTERRUPTED = 130
"""What shells say of a process that Ctrl-C ended."""


def fail(prog: str, message: str, code: int = 2) -> NoReturn:
    """Print one line that says what is wrong and exit."""
    print(printable(f"{prog}: {' '.join(message.split())}"), file=sys.stderr)
    sys.exit(code)


def unknown(what: str, name: str, names: Sequence[str]) -> str:
    """Return the line that says that a name is none of those, and which is the nearest."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return f"{what} '{name}' is unknown{hint} Choose from: {', '.join(names)}"


class Parser(jsonargparse.ArgumentParser):
    """An ArgumentParser whose help is a line per setting and whose errors are one line, with the nearest name."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        fail(str(self.prog), self._explain(message))

    def _flags(self) -> list[str]:
        return [action.option_strings[-1 if action.dest == "help" else 0] for action in self._shown()]

    def _shown(self) -> list[Any]:
        """Return the actions that stand for a setting, not for a group of them."""
        return [
            action
            for action in self._actions
            if action.option_strings
            and action.help != jsonargparse.SUPPRESS
            and (action.metavar != "CONFIG" or action.dest == "config")
        ]

    def _explain(self, message: str) -> str:
        if unrecognised := re.match(r"unrecognized arguments: (\S+)", message, re.I):
            return self._unknown(unrecognised[1].split("=")[0], "")
        if unknown := re.search(r"Option '([\w.]+)' is not accepted", message):
            return self._unknown(unknown[1], "--")
        if unknown := re.search(r"Group '([\w.]+)' does not accept option '([\w.]+)'", message):
            return self._unknown(f"{unknown[1]}.{unknown[2]}", "--")
        if group := re.search(r'"([\w.]+)":\s*Unable to load config .(\S*).\s', message):
            own = [flag.removeprefix("--") for flag in self._flags() if flag.startswith(f"--{group[1]}.")]
            return f"{group[1]} '{group[2]}' is not valid: it is several settings. Choose from: {', '.join(own)}"
        if match := re.match(r'Parser key "([\w.]+)":\s*(.*)', message, re.S):
            return self._wrong_value(match[1], match[2])
        return message

    def _unknown(self, name: str, prefix: str) -> str:
        if not name.startswith("-") and not prefix:
            return f"unexpected value '{name}': a setting takes one value unless it is a list"
        flags = [flag for flag in self._flags() if not prefix or flag not in ("--help", "--config", "--print_config")]
        meant = {f"--{flag.removeprefix('--').rpartition('.')[2]}": flag for flag in flags}  # left without its group
        meant |= {flag: flag for flag in flags}
        if f"{prefix or '--'}trainer.further" in meant:
            meant |= {f"--trainer.{each}": f"--trainer.{each}" for each in TRAINER_FURTHER}
        if (new := RENAMED.get(name.removeprefix("--"))) and f"--{new}" in flags:
            return f"setting '{name}' is unknown: it is {'' if prefix else '--'}{new} now"
        near = difflib.get_close_matches(prefix + name, meant, n=1, cutoff=0.5)
        hint = f"; did you mean '{meant[near[0]].removeprefix(prefix)}'?" if near else "."
        return f"setting '{name}' is unknown{hint} Choose from: {', '.join(f.removeprefix(prefix) for f in flags)}"

    def _wrong_value(self, key: str, detail: str) -> str:
        came = re.findall(r"Got value: (.*)", detail) or re.findall(r"Given value: (.*)", detail)
        value = came[-1].strip() if came else ""
        choices = re.findall(r"Literal\[([^\]]*)\]", detail)
        names = [name.strip(" '\"") for name in choices[0].split(",")] if choices else []
        if not names:
            expected = re.search(r"Expected an? (?:<class ')?([\w.\[\] ]+)", detail)
            return f"{key} {value!r} is not valid: expected {expected[1]}" if expected else f"{key}: {detail}"
        wrong = next((word for word in re.findall(r"[\w./-]+", value) if word not in names), value)
        near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.3)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        return f"{key} '{wrong}' is unknown{hint} Choose from: {', '.join(names)}"

    def format_help(self, formatter: Any = None) -> str:
        """Return the description, then a line per setting with its default."""
        lines = [str(self.description or "").strip(), ""]
        for flag, action in zip(self._flags(), self._shown(), strict=True):
            choices = re.search(r"Literal\[([^\]]*)\]", str(getattr(action, "_typehint", "")))
            text = re.split(r" \(type:|After applying| after applying", str(action.help))[0].strip()
            guest = " or FILE.py" if "GuestFile" in str(getattr(action, "_typehint", "")) else ""
            names = f" {{{choices[1]}}}{guest}".replace("'", "") if choices else ""
            default = "" if action.default in (None, "==SUPPRESS==") else f" [{_show(action.default)}]"
            lines.append(f"  {flag:24} {text}{names}{default}")
        return "\n".join(lines) + "\n"


def _show(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _spell_out(word: str) -> str:
    name, equals, value = word.partition("=")
    return _SHORT.get(name, name) + equals + value


_FURTHER = {*TRAINER_FURTHER, *TRAINER_TAKEN}


def _name_further(argv: Sequence[str]) -> list[str]:
    """Return argv with `--trainer.strategy ddp` written as `--trainer.further.strategy=ddp`, a key of a dict."""
    prefix = "--trainer."
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith(prefix) else [word])]
    found: list[str] = []
    while words:
        word = words.pop(0)
        name = word.removeprefix(prefix)
        if word.startswith(prefix) and name in _FURTHER:
            value = words.pop(0) if words and not words[0].startswith("--") else "true"
            word = f"{prefix}further.{name}={value}"
        found.append(word)
    return found


def _set_bare_flags(argv: Sequence[str], flags: set[str]) -> list[str]:
    """Return argv with `--json` written as `--json=true` where no value follows."""
    following = [*argv[1:], ""][: len(argv)]
    has_value = [word.lower() in ("true", "false") for word in following]
    return [
        f"{word}=true" if word in flags and not has else word for word, has in zip(argv, has_value, strict=True)
    ]


def _name_inputs(argv: Sequence[str], list_flags: set[str]) -> list[str]:
    """Return argv with the words that are no flag's value as `--inputs=["a.png", "b.png"]`."""
    flags: list[str] = []
    inputs: list[str] = []
    num_values: float = 0  # that the last flag still takes
    for word in argv:
        if word.startswith("--"):
            has_none = "=" in word or word in ("--help", "--print_config")
            num_values = 0 if has_none else math.inf if word in list_flags else 1
            flags.append(word)
        elif num_values > 0:
            num_values -= 1
            flags.append(word)
        else:
            inputs.append(word)
    return [*flags, *([f"--inputs={json.dumps(inputs)}"] if inputs else [])]


def _gather_lists(argv: Sequence[str], list_flags: set[str], scalar_flags: set[str]) -> list[str]:
    """Return argv with `--task a b` written as `--task=["a", "b"]`, the form that jsonargparse takes.

    Args:
        argv: the words of the command line.
        list_flags: those that take several values.
        scalar_flags: those of them that take a single one as it is.
    """
    gathered: list[str] = []
    position = 0
    while position < len(argv):
        flag, has_value, value = argv[position].partition("=")
        position += 1
        if flag not in list_flags:
            gathered.append(argv[position - 1])
            continue
        values = [value] if has_value else []
        while position < len(argv) and not argv[position].startswith("--"):
            values.append(argv[position])
            position += 1
        if len(values) == 1 and flag in scalar_flags:
            gathered.append(f"{flag}={values[0]}")
            continue
        is_yaml = len(values) == 1 and values[0][:1] == "["
        numbers_as_they_are = [value if _NUMBER.match(value) else json.dumps(value) for value in values]
        gathered.append(f"{flag}={values[0] if is_yaml else '[' + ', '.join(numbers_as_they_are) + ']'}")
    return gathered


def _flags_of_type(config_class: type, kind: str, prefix: str = "--") -> set[str]:
    """Return the flags of fields in whose type a text occurs."""
    flags: set[str] = set()
    for field in dataclasses.fields(config_class):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            flags |= _flags_of_type(field.type, kind, f"{prefix}{field.name}.")
        elif kind in str(field.type):
            flags.add(prefix + field.name)
    return flags


def _find_yaml(argv: Sequence[str]) -> list[str]:
    """Return argv with each `--config` naming the file that it means, here or embedded."""
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("--config=") else [word])]
    return [
        _with_settings(here_or_embedded(word)) if previous == "--config" else word
        for previous, word in itertools.pairwise(["", *words])
    ]


MAX_SETTINGS = 10_000


def _size(content: Any, seen: dict[int, float]) -> float:
    """Return how many values a YAML document has when its aliases are written out; infinite for one inside itself."""
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in seen:
        seen[id(content)] = math.inf
        parts = content.values() if isinstance(content, dict) else content
        seen[id(content)] = 1 + sum(_size(part, seen) for part in parts)
    return seen[id(content)]


def _with_settings(path: Path) -> str:
    """Return a YAML file's path, refusing one without settings; jsonargparse's message does not name the file.

    With further arguments of Lightning's Trainer among `trainer`, the file's content as the parser wants it.
    """
    if path.is_file():
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            require(_size(content, {}) < MAX_SETTINGS, f"config {path}: its aliases make it huge")
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"config {path} is not YAML: {error}") from error
        require(isinstance(content, dict), f"config {path} holds no settings; expected lines such as 'lmbda: 0.01'")
        if isinstance(trainer := content.get("trainer"), dict) and (named := _FURTHER & trainer.keys()):
            further = trainer.pop("further", {}) | {name: trainer.pop(name) for name in named}
            return json.dumps(content | {"trainer": trainer | {"further": further}})
    return str(path)


def parse_config(config_class: type[Config], argv: Sequence[str], prog: str, description: str) -> Config:
    """Return the settings that the command line and its YAML files give.

    Where there is a setting `inputs`, its files need no flag before them.

    Args:
        config_class: a frozen dataclass of `lic.settings`.
        argv: the words after the program's name.
        prog: the program's name in messages.
        description: what `--help` shows above the settings.
    """
    parser = Parser(prog=prog, description=description, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the settings below")
    parser.add_class_arguments(config_class, as_group=False)
    try:
        argv = _set_bare_flags([_spell_out(word) for word in argv], _flags_of_type(config_class, "bool"))
        argv = _name_further(_find_yaml(argv))
        list_flags, scalar_flags = (_flags_of_type(config_class, kind) for kind in ("list[", "float | list["))
        if "--inputs" in list_flags:
            argv = _name_inputs(argv, list_flags)
        settings = parser.parse_args(_gather_lists(argv, list_flags, scalar_flags))
        values = vars(parser.instantiate(settings))
        return config_class(**{name: values[name] for name in config_class.__dataclass_fields__})
    except ValueError as error:
        fail(prog, str(error))


class _Dumper(yaml.SafeDumper):
    """Quotes strings such as 1e-3, which YAML 1.1 takes for strings and the parser for numbers."""


_Dumper.add_multi_representer(str, lambda dumper, value: dumper.represent_str(str(value)))  # a guest's file
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("+-.0123456789"))


def save_config(config: Any, path: Path, comment: str = "") -> None:
    """Write the settings as the YAML file that `--config` reads back, under a line of comment."""
    settings = yaml.dump(dataclasses.asdict(config), Dumper=_Dumper, sort_keys=False)
    write_file(f"# {comment}\n{settings}" if comment else settings, path)


def with_resumed_config(argv: Sequence[str]) -> list[str]:
    """Return argv preceded by the settings saved beside the checkpoint of `--resume`, if it names one."""
    words = [word for argument in argv for word in argument.split("=", 1)]
    if "--resume" not in words[:-1]:
        return list(argv)
    saved = Path(words[words.index("--resume") + 1]).parent / "config.yaml"
    return ["--config", str(saved), *argv] if saved.is_file() else list(argv)


def command_line() -> str:
    """Return the command that started this program, as a user types it."""
    program, *arguments = sys.argv
    called = {"lic": ["lic"], "__main__.py": ["python", "-m", "lic"]}.get(Path(program).name, ["python", program])
    return shlex.join([*called, *arguments])


@contextlib.contextmanager
def reporting_mistakes(prog: str) -> Iterator[None]:
    """Turn a ValueError or OSError, which are for people, into one line and exit code 2; Ctrl-C likewise, 130."""
    try:
        yield
    except KeyboardInterrupt:
        fail(prog, "interrupted", INTERRUPTED)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.strerror and error.filename:
            fail(prog, f"'{error.filename}': {error.strerror}")
        *_, last_line = str(error).strip().splitlines() or [type(error).__name__]
        fail(prog, re.sub(r"^(ValueError|OSError): ", "", last_line))
