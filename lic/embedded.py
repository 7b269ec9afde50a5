"""What ships with the code, `checkpoints/` and `configs/`: at the root of a checkout, inside the package in a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Return the root of the checkout that this code runs from; None: it was installed from a wheel."""
    return None if (PACKAGE / "checkpoints").is_dir() else PACKAGE.parent


def embedded(name: str) -> Path:
    """Return where a shipped file or folder lies, such as `checkpoints/demo`."""
    return (checkout() or PACKAGE) / name


def here_or_embedded(name: str) -> Path:
    """Return the path that a user named or, if nothing is there, the shipped file of that name.

    So `--config configs/train/demo.yaml` means the same in every folder.
    """
    path = Path(name).expanduser()
    is_shipped = path.parts[:1] in (("checkpoints",), ("configs",)) and embedded(name).is_file()
    return embedded(name) if is_shipped and not path.exists() else path
