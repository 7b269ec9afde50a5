"""lic COMMAND, or python -m lic COMMAND; `lic COMMAND --help` says more."""

import ast
import importlib
import sys
from pathlib import Path

from lic.cli import fail, reporting_mistakes, unknown

COMMANDS = (
    "train", "eval", "encode", "decode", "info", "convert", "compare", "sweep", "calibrate", "metrics", "distortions",
    "preferences", "correlate", "curves", "report", "dashboard", "download", "shards", "demo-networks",
)  # fmt: skip
"""Each is a file of `lic/commands`; the first line of its docstring is its line in the overview."""


def main(argv: list[str]) -> None:
    """Run a command."""
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return
    name, arguments = argv[0], argv[1:]
    if name not in COMMANDS:
        fail("lic", unknown("command", name, COMMANDS))
    with reporting_mistakes(f"lic {name}"):
        code = importlib.import_module(f"lic.commands.{name.replace('-', '_')}").main(arguments)
    if code:
        sys.exit(code)


def overview() -> str:
    """Return a line for each command, without importing any: torch takes seconds."""
    lines = [f"{name:14} {_first_line(name)}" for name in COMMANDS]
    return "\n".join([str(__doc__), "", *lines])


def _first_line(name: str) -> str:
    file = Path(__file__).parent / "commands" / f"{name.replace('-', '_')}.py"
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring is not None, file
    return docstring.splitlines()[0]


def run() -> None:
    """Run the command of this process's command line."""
    main(sys.argv[1:])


if __name__ == "__main__":
    run()
