"""CompressAI's published weights: found where torch keeps downloads, loaded under their names, or one line."""

import re
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from compressai.models import ScaleHyperprior
from compressai.zoo import image as zoo

from lic.codecs import build_codec
from lic.codecs.zoo import load_zoo_weights, zoo_quality, zoo_widths


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def as_published(state: dict[str, Any]) -> dict[str, Any]:
    """A state dict with the entropy bottleneck's names as the zoo's files have them."""
    return {re.sub(r"\.(matrice|biase|factor)s\.(\d)", _old_name, name): tensor for name, tensor in state.items()}


def _old_name(match: re.Match[str]) -> str:
    return f"._{match[1].replace('matrice', 'matrix').replace('biase', 'bias')}{match[2]}"


def test_published_weights_load_unchanged(hub: Path) -> None:
    torch.manual_seed(3)
    published = ScaleHyperprior(128, 192).eval()
    published.update()
    state = as_published(published.state_dict())
    assert "entropy_bottleneck._matrix0" in state
    torch.save(state, hub / Path(zoo.model_urls["bmshj2018-hyperprior"]["mse"][1]).name)
    codec = build_codec("bmshj2018-hyperprior", *zoo_widths("bmshj2018-hyperprior", 1)).eval()
    load_zoo_weights(codec, "bmshj2018-hyperprior", 1)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(codec(image).reconstruction, published(image)["x_hat"], rtol=0, atol=1e-5)
    for name, tensor in published.state_dict().items():
        assert torch.equal(codec.state_dict()[f"network.{name}"], tensor), name


def test_weights_that_cannot_be_downloaded(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    codec = build_codec("bmshj2018-hyperprior", 8, 8)
    with pytest.raises(ValueError, match=r"cannot be downloaded .*no route.* put https://\S+-1-\S+ into \S+") as error:
        load_zoo_weights(codec, "bmshj2018-hyperprior", 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "quality", "message"),
    [
        ("elic2022-official", 3, "CompressAI publishes no weights of elic2022-official; it does of: bmshj"),
        ("mbt2018-mean", 9, "CompressAI's mbt2018-mean has the qualities 1 .. 8, not 9"),
    ],
)
def test_what_the_zoo_lacks(name: Any, quality: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        zoo_widths(name, quality)


def test_names() -> None:
    assert zoo_quality(None) is zoo_quality("codec.safetensors") is None and zoo_quality("compressai:6") == 6
    assert zoo_widths("mbt2018-mean", 6) == (192, 320) and zoo_widths("cheng2020-attn", 2) == (128, 128)
    with pytest.raises(ValueError, match="takes a number from 1, got 'best'"):
        zoo_quality("compressai:best")
