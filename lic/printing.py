"""The console of every command: what it is given is text, whatever brackets or escape codes a name may hold."""

from typing import Any

import rich.console
from rich.progress import TextColumn
from rich.text import Text


class Console(rich.console.Console):
    """rich's Console that takes text for text: no markup, no emoji codes, no colours of its own choice."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string, also of a table's cell or title, ready to be printed."""
        return super().render_str(printable(text), **options)


def printable(text: str) -> str:
    """Return a text whose control characters, which could steer a terminal, are replaced; line ends stay."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


class Words(TextColumn):
    """A text beside a progress bar."""

    def __init__(self, text: str) -> None:
        super().__init__(text, markup=False)
