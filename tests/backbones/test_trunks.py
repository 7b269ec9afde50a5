"""Weights of LPIPS's and DISTS's trunks: missing, damaged, and on a network that never answers."""

import socket
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from torchvision import models

from lic.backbones import trunks
from lic.backbones.published import load_torchvision
from lic.backbones.trunks import trunk_file
from lic.distortions import LPIPS, build_distortion
from lic.settings.metrics import MetricsConfig
from tests.untrained import write_trunk


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # which remembers the proxies of its first use
    return tmp_path


@pytest.mark.parametrize(("name", "file", "size"), [("lpips", "alexnet-owt-7be5be79.pth", 233),
                                                    ("dists", "vgg16-397923af.pth", 528)])  # fmt: skip
def test_what_cannot_be_downloaded_is_one_line(
    name: str, file: str, size: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(ValueError, match=f"{file} \\({size} MB; torchvision, BSD-3-Clause") as caught:
        build_distortion(name, MetricsConfig())  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and f"into {home}/hub/checkpoints" in message and "without it work" in message
    assert not list(home.rglob("*.pth"))


def test_a_network_that_never_answers_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(ValueError, match=r"cannot be downloaded .*timed out"):
            LPIPS()
    assert time.monotonic() - began < 10 and socket.getdefaulttimeout() is None


def test_a_folder_that_cannot_be_made(home: Path) -> None:
    (home / "hub").write_text("a file")
    with pytest.raises(ValueError, match=r"the weights of alexnet cannot be downloaded .*hub"):
        LPIPS()


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other"])
def test_damaged_weights_are_one_line(damage: str, home: Path) -> None:
    path = write_trunk("alexnet")
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("<html>not found</html>")
        case "other":
            torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="does not hold the weights of alexnet") as caught:
        LPIPS()
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_weights_are_sought_where_torch_hub_looks(home: Path) -> None:
    assert trunk_file("vgg16") == home / "hub" / "checkpoints" / "vgg16-397923af.pth"


def test_local_weights_of_another_network_leave_the_hub_where_it_is(home: Path) -> None:
    torch.save(models.squeezenet1_1().state_dict(), home / "squeezenet.pth")
    load_torchvision("squeezenet1_1", str(home / "squeezenet.pth"))
    assert torch.hub.get_dir() == f"{home}/hub"
