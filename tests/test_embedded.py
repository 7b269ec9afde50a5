"""What ships is found in a checkout and in an installed package; users' own files come first."""

from pathlib import Path

import pytest

from lic import embedded as module
from lic.curves import environment
from lic.embedded import checkout, embedded, here_or_embedded

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a package that has its files inside, as a wheel lays them out, in place of the checkout's."""
    for name in ("checkpoints/demo/clip.safetensors", "configs/train/demo.yaml"):
        (tmp_path / "lic" / name).parent.mkdir(parents=True)
        (tmp_path / "lic" / name).touch()
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "lic")
    return tmp_path / "lic"


def test_in_a_checkout() -> None:
    assert checkout() == ROOT
    assert embedded("checkpoints/demo") == ROOT / "checkpoints" / "demo"
    assert "commit" in environment.read_environment() or not (ROOT / ".git").exists()


def test_installed(installed: Path) -> None:
    (installed.parent / ".git").mkdir()  # of another project, in whose folder the package lies
    assert checkout() is None
    assert embedded("configs/networks") == installed / "configs" / "networks"
    assert "commit" not in environment.read_environment()


def test_what_is_here_comes_first(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    name = "configs/train/demo.yaml"
    assert here_or_embedded(name) == installed / name
    for unknown in ("configs/train/none.yaml", "configs", "pyproject.toml", str(tmp_path / name)):
        assert here_or_embedded(unknown) == Path(unknown)
    Path("configs/train").mkdir(parents=True)
    Path(name).touch()
    assert here_or_embedded(name) == Path(name)
