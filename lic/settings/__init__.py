"""Every setting, as frozen dataclasses, a file per door; the docstring under a field is its `--help` text.

Nothing here imports torch, so that `--help` answers at once.
"""


def require(is_met: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition is met."""
    if not is_met:
        raise ValueError(message)
