"""Small untrained codecs that code something other than zeros, as files and loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from lic.codecs import Header, LoadedCodec, build_codec, load_codec, save_codec
from lic.codecs.build import codec_card
from lic.settings.names import CodecName

WIDTHS: dict[CodecName, tuple[int, int]] = {"elic2022-official": (8, 16)}
VBR_GRID = [0.0018, 0.013, 0.0932]


def save_untrained(name: CodecName, path: Path) -> None:
    """Write a codec with seeded weights, its latents some units large."""
    torch.manual_seed(0)
    n, m = WIDTHS.get(name, (8, 8))
    grid = VBR_GRID if codec_card(name).has_grid else [0.01]
    codec = build_codec(name, n, m, grid).eval()
    with torch.no_grad():
        for path_in_network, transform in codec.network.named_modules():
            if path_in_network.split(".")[-1] not in ("g_a", "h_a", "rest"):
                continue
            for last in [layer for layer in transform.children() if isinstance(layer, nn.Conv2d)][-1:]:
                last.weight *= 40
    save_codec(codec, Header(name, codec_card(name).choose(n, m), grid, "mse", "nothing", 0, {}), path)


MakeCodec = Callable[[CodecName], LoadedCodec]


@pytest.fixture(scope="session")
def codec_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[CodecName], Path]:
    """Return the checkpoint file of an untrained codec."""
    folder = tmp_path_factory.mktemp("codecs")

    def get(name: CodecName) -> Path:
        path = folder / f"{name}.safetensors"
        if not path.exists():
            save_untrained(name, path)
        return path

    return get


@pytest.fixture(scope="session")
def make_codec(codec_file: Callable[[CodecName], Path]) -> MakeCodec:
    """Return an untrained codec, loaded."""
    loaded: dict[CodecName, LoadedCodec] = {}

    def get(name: CodecName) -> LoadedCodec:
        if name not in loaded:
            loaded[name] = load_codec(codec_file(name))
        return loaded[name]

    return get
