"""Guests: where a name is expected, a Python file that defines `CARD` may stand (docs/extend.md).

A guest is code of the user's own choice, named on the command line or in a YAML of the user's; nothing else, a
checkpoint least of all, makes a file run.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from lic.cli import unknown


class Named(Protocol):
    """A card: at the least, what it is called."""

    @property
    def name(self) -> str:
        """As it is chosen and as results name it."""
        ...


CardType = TypeVar("CardType", bound=Named)


def is_guest(value: str) -> bool:
    """Return whether a value names a file, not a card of the house."""
    return value.endswith(".py")


def find_card(what: str, value: str, cards: Sequence[CardType], card_class: type[CardType]) -> CardType:
    """Return the card of a name, or of a guest's file.

    Args:
        what: what is chosen, for messages: `codec`, `task`.
        value: a name, or a path that ends in `.py`.
        cards: the house's own.
        card_class: what a guest's CARD must be.

    Raises:
        ValueError: in one line: the name is unknown, or the file cannot be read as a guest.
    """
    if is_guest(value):
        card = load_guest(what, value, card_class)
        if any(card.name == own.name for own in cards):
            raise ValueError(f"{what} {value} calls itself '{card.name}', as one of the house's own: rename it")
        return card
    for card in cards:
        if card.name == value:
            return card
    raise ValueError(unknown(what, value, [card.name for card in cards]))


def content_digest(value: str) -> str:
    """Return a SHA-256 of a guest's file, which what it computes depends on; empty for a name of the house."""
    return hashlib.sha256(Path(value).expanduser().read_bytes()).hexdigest() if is_guest(value) else ""


def load_guest(what: str, value: str, card_class: type[CardType]) -> CardType:
    """Run a guest's file, once a process, and return its card; see `find_card`."""
    path = Path(value).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"{what} {value}: there is no such file")
    module_name = f"lic_guest_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"  # pickles of workers find it
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None and spec.loader is not None, path
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise ValueError(f"{what} {value} cannot be run: {type(error).__name__}: {error}") from error
    card = getattr(sys.modules[module_name], "CARD", None)
    if not isinstance(card, card_class):
        came = "nothing" if card is None else f"a {type(card).__name__}"
        wanted = f"{card_class.__module__}.{card_class.__qualname__}"
        raise ValueError(f"{what} {value} must define CARD, a {wanted}; it defines {came}")
    return card
