"""Every setting, as frozen dataclasses, a file per door; the docstring under a field is its `--help` text.

Nothing here imports torch, so that `--help` answers at once.
"""


LMBDA_RANGE = (1e-6, 1e4)
"""Of every lmbda: streams hold it as a float16."""


def require(is_met: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition is met."""
    if not is_met:
        raise ValueError(message)


def check_lmbda(lmbda: float) -> None:
    """Raise ValueError unless a stream can hold the lmbda."""
    low, high = LMBDA_RANGE
    require(isinstance(lmbda, int | float) and low <= lmbda <= high,
            f"lmbda must lie between {low:g} and {high:g}, usual are 0.0018 to 0.18; got {str(lmbda)[:20]}")
