"""CompressAI's newer classes through one door: real ones of 1.2.8 stand in its registry under their names."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import compressai
import pytest
import torch
from compressai import models
from compressai.models import Cheng2020AnchorCheckerboard, Elic2022Official
from compressai.registry import MODELS
from torch import Tensor, nn

from lic.__main__ import main
from lic.codecs import build_codec, load_codec
from lic.codecs.build import codec_card
from lic.codecs.upstream import UPSTREAM
from lic.commands.convert import main as convert
from lic.images import read_image, write_image
from lic.printing import Console
from lic.settings.names import UpstreamCodecName
from lic.training.run import initial_codec, train, with_widths
from tests.support import SMALL_TRAINING, noise_image

ABSENT = [name for name in UPSTREAM if name not in MODELS]


class OwnNames(Elic2022Official):  # type: ignore[misc]  # CompressAI has no types
    """ELIC behind a constructor as the newer classes have them: names of its own, tuples, a class as a default."""

    def __init__(
        self, latent_channels: int = 24, hyper_channels: int = 8, slice_sizes: Sequence[int] = (8, 16),
        max_depth: int | None = None, norm_layer: type[nn.Module] = nn.LayerNorm, **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(hyper_channels, latent_channels, list(slice_sizes), **settings)

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Tensor]) -> "OwnNames":
        sizes = [state_dict[f"latent_codec.y.latent_codec.y{k}.context_prediction.weight"].shape[1] for k in range(3)]
        network = cls(sum(sizes), hyper_channels=state_dict["g_a.0.weight"].shape[0], slice_sizes=tuple(sizes))
        network.load_state_dict(state_dict)
        return network


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CompressAI that has `tcm` and `cca`."""
    monkeypatch.setitem(MODELS, "tcm", Cheng2020AnchorCheckerboard)
    monkeypatch.setitem(MODELS, "cca", OwnNames)


def test_names() -> None:
    assert tuple(UPSTREAM) == get_args(UpstreamCodecName)


@pytest.mark.parametrize("name", ABSENT)
def test_absent(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = (f"codec {name} is CompressAI's, in versions after 1.2.8; {compressai.__version__} is installed: "
            "pip install 'git+https://github.com/InterDigitalInc/CompressAI' timm")  # fmt: skip
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        build_codec(name)
    with pytest.raises(SystemExit):
        main(["convert", name, "weights.pth.tar", "out.safetensors", "--lmbda", "0.01"])
    assert capsys.readouterr().err == f"lic convert: {line}\n"


def test_a_file_that_compressai_does_not_import_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    (tmp_path / "saaf.py").write_text(
        "from compressai.models import Cheng2020AnchorCheckerboard as Own\nfrom compressai.registry import MODELS\n"
        "MODELS['saaf'] = Own\n"
    )
    (tmp_path / "dcae.py").write_text("import no_such_package\n")
    try:
        assert type(build_codec("saaf", 8).network) is Cheng2020AnchorCheckerboard
    finally:
        MODELS.pop("saaf", None)
    with pytest.raises(ValueError, match=r"^codec dcae of CompressAI \S+ cannot be imported: No module named 'no_such"):
        build_codec("dcae")


@pytest.mark.usefixtures("registry")
def test_options_are_the_constructors() -> None:
    assert codec_card("tcm").options == {"num_channels": 192}
    assert codec_card("cca").options == {
        "latent_channels": 24, "hyper_channels": 8, "slice_sizes": [8, 16], "max_depth": None,
    }  # fmt: skip
    codec = build_codec("cca")
    assert codec.network.groups == [8, 16]
    with pytest.raises(ValueError, match="cca takes no --num_channels, but latent_channels, hyper_channels"):
        build_codec("cca", 8)
    with pytest.raises(ValueError, match=r"CompressAI's cca takes no .*: AssertionError"):
        codec_card("cca").build(latent_channels=20)


@pytest.mark.usefixtures("registry")
def test_trains_codes_and_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    short = replace(SMALL_TRAINING.trainer, max_steps=2)
    config = replace(SMALL_TRAINING, codec="tcm", num_latent_channels=None, output="runs", name="run", trainer=short)
    assert train(config, Console(quiet=True)) == 0
    checkpoint = "runs/run/codec.safetensors"
    loaded, image = load_codec(checkpoint), noise_image(0, 100, 70)
    assert (loaded.header.codec, loaded.header.options) == ("tcm", {"num_channels": 8})
    write_image(image, Path("a.png"))
    main(["encode", "a.png", "--checkpoint", checkpoint])
    main(["decode", "a.lic", "-o", "decoded.png", "--checkpoint", checkpoint])
    with torch.no_grad():
        expected = loaded.codec(read_image(Path("a.png"))).reconstruction.clamp(0, 1)
    assert (read_image(Path("decoded.png")) - expected).abs().max() <= 0.5 / 255 + 1e-4
    main(["info", checkpoint])
    assert "  codec    tcm num_channels 8\n  trained  2 steps for" in capsys.readouterr().out
    again = initial_codec(with_widths(replace(config, init=checkpoint)))
    assert again.compress(image) == loaded.codec.compress(image)


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("name", "source", "options"),
    [
        ("tcm", Cheng2020AnchorCheckerboard(16), {"num_channels": 16}),
        ("cca", OwnNames(32, 16, (4, 8, 20)),
         {"latent_channels": 32, "hyper_channels": 16, "slice_sizes": [4, 8, 20], "max_depth": None}),
    ],
)  # fmt: skip
def test_converts(
    name: Any, source: nn.Module, options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    image, weights, target = torch.rand(1, 3, 96, 64), tmp_path / "weights.pth.tar", tmp_path / "out.safetensors"
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.copy_(parameter.half().float())
    source.update()
    torch.save({"state_dict": {f"module.{key}": value for key, value in source.state_dict().items()}}, weights)
    main(["convert", name, str(weights), str(target), "--lmbda", "0.0067"])
    assert capsys.readouterr().out.startswith(f"{target}: {name}, ")
    loaded = load_codec(target)
    assert (loaded.header.codec, loaded.header.options, loaded.header.lmbda) == (name, options, [0.0067])
    with torch.no_grad():
        padded = torch.nn.functional.pad(image, (0, 0, 0, 32), mode="replicate")
        expected = source.eval()(padded)["x_hat"][..., :96, :]
        assert torch.allclose(loaded.codec(image).reconstruction, expected, rtol=0, atol=1e-5)
    decoded = loaded.codec.decompress(loaded.codec.compress(image), 96, 64)
    assert torch.allclose(decoded, expected.clamp(0, 1), rtol=0, atol=1e-4)


@pytest.mark.usefixtures("registry")
def test_weights_of_another_codec(tmp_path: Path) -> None:
    torch.save(OwnNames().state_dict(), tmp_path / "other.pth.tar")
    with pytest.raises(ValueError, match=r"is not of CompressAI's tcm: .*; official weights go through its") as error:
        convert(["tcm", str(tmp_path / "other.pth.tar"), str(tmp_path / "out.safetensors"), "--lmbda", "0.0067"])
    assert "\n" not in str(error.value) and not (tmp_path / "out.safetensors").exists()


def test_a_checkpoint_of_a_codec_that_is_absent_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(OwnNames(slice_sizes=(4, 8, 12)).state_dict(), tmp_path / "weights.pth.tar")
    with monkeypatch.context() as patch:
        patch.setitem(MODELS, "cca", OwnNames)
        convert(["cca", str(tmp_path / "weights.pth.tar"), str(tmp_path / "cca.safetensors"), "--lmbda", "0.0067"])
        content = (tmp_path / "cca.safetensors").read_bytes()
        (tmp_path / "large.safetensors").write_bytes(content.replace(b"[4, 8, 12]", b"[4,99999]".ljust(10)))
        with pytest.raises(ValueError, match=r"is damaged or is not a codec's: .*slice_sizes is .*no such side"):
            load_codec(tmp_path / "large.safetensors")
    if "cca" in ABSENT:
        with pytest.raises(ValueError, match=r"codec cca is CompressAI's, in versions after 1\.2\.8"):
            load_codec(tmp_path / "cca.safetensors")
