"""Conversion: the official MLIC++'s checkpoints give the official outputs, and a wrong file is one line."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from lic.codecs import Codec, build_codec, load_codec
from lic.codecs.build import codec_card
from lic.codecs.convert import convert_mlicpp
from lic.codecs.mlicpp import MLICPlusPlus
from lic.commands.convert import main

# Names and shapes of the official state dict, and what the official code (commit 4aa9d2a) computes on a CPU with the
# weights below; N = 32, M = 64.
GOLDEN = json.loads((Path(__file__).parent / "golden" / "mlicpp.json").read_text())
OLD = json.loads((Path(__file__).parent / "golden" / "mlicpp_old.json").read_text())
DERIVED = {
    "gaussian_conditional._quantized_cdf": torch.zeros(64, 9),
    "gaussian_conditional.scale_table": torch.ones(64),
    "entropy_bottleneck._offset": torch.zeros(32),
    "entropy_bottleneck.target": torch.zeros(3),
    "g_a.analysis_transform.0.gdn.beta_reparam.pedestal": torch.zeros(1),
    "g_a.analysis_transform.0.gdn.beta_reparam.lower_bound.bound": torch.zeros(1),
    "local_context.0.relative_position_index": torch.zeros(25, 25),
}


def pseudo_random(shape: list[int], seed: int) -> Tensor:
    """Numbers in -1 ... 1 that do not depend on torch's generators."""
    phase = torch.arange(math.prod(shape), dtype=torch.float64) + 1000 * seed
    return (phase * 12.9898).sin().mul(43758.5453).frac().mul(10).frac().reshape(shape).float()


def official_weight(name: str, shape: list[int], seed: int) -> Tensor:
    """A weight of the official model: of a plausible size, and such that thousands of symbols are not zero."""
    numbers = pseudo_random(shape, seed)
    if name.endswith("gamma"):
        return 0.2 * torch.eye(shape[0]) + 0.02 * numbers.abs()
    if name.endswith("quantiles"):
        return torch.tensor([-20.0, 0.0, 20.0]) + 0.1 * numbers
    if name.endswith("beta") or ".norm" in name:
        return 1 + 0.3 * numbers
    weight = numbers * (math.sqrt(0.7 / math.prod(shape[1:])) if len(shape) > 1 else 0.1)
    if name.endswith(("analysis_transform.6.weight", "reduction.8.weight")):
        return weight * (25 if name.startswith("h_a") else 3)
    is_scale = re.search(r"entropy_parameters_\w+\.\d\.fusion\.6\.bias", name)
    return weight + 3 * (torch.arange(shape[0]) < 32) if is_scale else weight


def official_image(height: int, width: int) -> Tensor:
    """A smooth image with noise, (1, 3, H, W)."""
    y, x = torch.meshgrid(torch.arange(height) / 17, torch.arange(width) / 23, indexing="ij")
    smooth = torch.stack([(x + y).sin(), (x - 2 * y).cos(), (x * y / 3).sin()])
    return (0.5 + 0.3 * smooth + 0.2 * pseudo_random([3, height, width], 7))[None]


def official_state() -> dict[str, Tensor]:
    """A state dict with the official names."""
    return {name: official_weight(name, shape, seed) for seed, (name, shape) in enumerate(GOLDEN["shapes"].items())}


def official_state_old() -> dict[str, Tensor]:
    """A state dict of the older form: what the file does not list is as in the other."""
    shapes = GOLDEN["shapes"] | OLD["shapes"]
    return {name: official_weight(name, shape, seed) for seed, (name, shape) in enumerate(sorted(shapes.items()))}


def older(name: str) -> str:
    """The name of the entropy bottleneck's parameter before CompressAI 1.2.5, which the official code was made with."""
    for new, old in (("matrices", "_matrix"), ("biases", "_bias"), ("factors", "_factor")):
        name = name.replace(f"entropy_bottleneck.{new}.", f"entropy_bottleneck.{old}")
    return name


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint as the official training writes it."""
    path = tmp_path / "official.pth.tar"
    torch.save({"epoch": 3, "state_dict": official_state() | DERIVED, "loss": torch.tensor(1.0)}, path)
    return path


@pytest.mark.parametrize("expected", GOLDEN["outputs"], ids=lambda output: f"{output['height']}x{output['width']}")
def test_official_outputs(expected: dict[str, Any], checkpoint: Path) -> None:
    assert_gives(convert_mlicpp(checkpoint), expected)


@pytest.mark.parametrize("expected", OLD["outputs"], ids=lambda output: f"{output['height']}x{output['width']}")
def test_official_outputs_of_the_older_form(expected: dict[str, Any], tmp_path: Path) -> None:
    network = convert_mlicpp(saved(official_state_old(), tmp_path))
    assert network.is_old
    assert_gives(network, expected)


def assert_gives(network: MLICPlusPlus, expected: dict[str, Any]) -> None:
    with torch.no_grad():
        output = network(official_image(expected["height"], expected["width"]))
    y, z = output["likelihoods"]["y"], output["likelihoods"]["z"]
    assert -y.double().log2().sum().item() == pytest.approx(expected["y_bits"], rel=1e-5)
    assert -z.double().log2().sum().item() == pytest.approx(expected["z_bits"], rel=1e-5)
    for key, values in (("y_likelihoods", y), ("x_hat", output["x_hat"])):
        sample = values.flatten()[:: values.numel() // 8 + 3].tolist()
        assert sample == pytest.approx(expected[key], abs=1e-5), key


@pytest.mark.parametrize("form", ["bare", "module", "older"])
def test_forms_of_the_checkpoint(form: str, checkpoint: Path, tmp_path: Path) -> None:
    rename = {"bare": str, "module": "module.{}".format, "older": older}[form]
    torch.save({rename(name): tensor for name, tensor in official_state().items()}, tmp_path / "other.pth.tar")
    one, other = convert_mlicpp(checkpoint).state_dict(), convert_mlicpp(tmp_path / "other.pth.tar").state_dict()
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())


def test_every_parameter_gets_its_own_tensor(tmp_path: Path) -> None:
    state = {name: torch.full(shape, float(i)) for i, (name, shape) in enumerate(GOLDEN["shapes"].items())}
    torch.save(state, tmp_path / "counted.pth.tar")
    values = [parameter.unique().item() for parameter in convert_mlicpp(tmp_path / "counted.pth.tar").parameters()]
    assert sorted(values) == list(range(len(GOLDEN["shapes"])))


def refusal(path: Path) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(ValueError) as error:
        convert_mlicpp(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def saved(state: object, path: Path) -> Path:
    torch.save(state, path / "wrong.pth.tar")
    return path / "wrong.pth.tar"


def test_wrong_checkpoints(tmp_path: Path) -> None:
    state = official_state()
    lacking = {name: tensor for name, tensor in state.items() if name != "lrp_anchor.1.lrp_transform.0.bias"}
    assert "lacks slices.1.lrp_anchor.0.bias" in refusal(saved(lacking, tmp_path))
    unknown = state | {"decoder.weight": torch.zeros(1)}
    assert "holds unknown decoder.weight" in refusal(saved(unknown, tmp_path))
    misshapen = state | {"channel_context.1.fushion.0.bias": torch.zeros(3)}
    assert "wrong shape: slices.1.channel_context.0.bias" in refusal(saved(misshapen, tmp_path))
    uneven = state | {"g_a.analysis_transform.6.weight": torch.zeros(40, 32, 3, 3)}
    assert "multiple of 32" in refusal(saved(uneven, tmp_path))
    assert "is not of MLIC++" in refusal(saved({"weight": torch.zeros(1)}, tmp_path))
    assert "no state dict" in refusal(saved({"state_dict": [1]}, tmp_path))
    assert "no state dict" in refusal(saved([], tmp_path))
    assert "damaged or holds more than weights" in refusal(saved({"state_dict": Path("x")}, tmp_path))
    assert "does not exist" in refusal(tmp_path / "none.pth.tar")
    (tmp_path / "text.pth.tar").write_text("no checkpoint")
    assert "damaged" in refusal(tmp_path / "text.pth.tar")


def test_command(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.safetensors"
    main(["mlicpp", str(checkpoint), str(target), "--lmbda", "0.0483"])
    assert capsys.readouterr().out == f"{target}: mlicpp, 5.0 M parameters\n"
    with safetensors.safe_open(target, "pt") as file:
        header = json.loads(file.metadata()["lic"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert (header["codec"], header["options"]) == ("mlicpp", {"num_channels": 32, "num_latent_channels": 64})
    assert (header["lmbda"], header["distortion"]) == ([0.0483], "mse") and "official.pth.tar" in header["data"]
    loaded = load_codec(target)
    coded = loaded.codec.compress(torch.rand(1, 3, 64, 64))
    assert loaded.codec.decompress(coded, 64, 64).shape == (1, 3, 64, 64)
    for name, parameter in Codec(convert_mlicpp(checkpoint)).named_parameters():
        assert torch.equal(tensors[name], parameter.half()), name
    with pytest.raises(ValueError, match=r"ending in \.safetensors"):
        main(["mlicpp", str(checkpoint), "out.pth", "--lmbda", "0.01"])


def test_the_older_form_is_coded_and_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = saved(official_state_old(), tmp_path), tmp_path / "old.safetensors"
    main(["mlicpp", str(source), str(target), "--lmbda", "0.0035", "--distortion", "ms-ssim"])
    assert capsys.readouterr().out == f"{target}: mlicpp-old, 3.6 M parameters\n"
    loaded, image = load_codec(target), torch.rand(1, 3, 64, 128)
    assert (loaded.header.codec, loaded.header.distortion) == ("mlicpp-old", "ms-ssim")
    assert loaded.codec.decompress(loaded.codec.compress(image), 64, 128).shape == image.shape
    state = loaded.codec.network.state_dict()
    assert MLICPlusPlus.from_state_dict(state).is_old and not build_codec("mlicpp", 32, 64).network.is_old


@pytest.mark.parametrize(
    ("name", "widths"), [("bmshj2018-factorized", (8, 12)), ("mbt2018-mean", (8, 12)), ("cheng2020-attn", (8, 8))]
)
def test_compressais_checkpoints(name: Any, widths: tuple[int, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = build_codec(name, *widths).eval(), tmp_path / "out.safetensors"
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.copy_(parameter.half().float())
    torch.save({"epoch": 3, "state_dict": source.network.state_dict()}, tmp_path / "checkpoint.pth.tar")
    main([name, str(tmp_path / "checkpoint.pth.tar"), str(target), "--lmbda", "0.0067"])
    loaded, image = load_codec(target), torch.rand(1, 3, 64, 64)
    assert (loaded.header.options, loaded.header.lmbda) == (codec_card(name).choose(*widths), [0.0067])
    wrapped = {f"_orig_mod.module.{key}": value for key, value in source.network.state_dict().items()}
    torch.save(wrapped, tmp_path / "compiled.pth.tar")
    main([name, str(tmp_path / "compiled.pth.tar"), str(tmp_path / "compiled.safetensors"), "--lmbda", "0.0067"])
    assert load_file(tmp_path / "compiled.safetensors").keys() == load_file(target).keys()
    for lmbda in ("0", "1e-9", "nan", "1e9"):  # a stream names it as a float16
        with pytest.raises(ValueError, match=r"lmbda must lie between 1e-06 and 10000, usual are 0.0018 to 0.18; got"):
            main([name, str(tmp_path / "checkpoint.pth.tar"), str(target), "--lmbda", lmbda])
    with torch.no_grad():
        assert torch.equal(loaded.codec(image).reconstruction, source(image).reconstruction)
    with pytest.raises(ValueError, match="is not of mbt2018: ") as error:
        main(["mbt2018", str(tmp_path / "checkpoint.pth.tar"), str(target), "--lmbda", "0.0067"])
    assert "\n" not in str(error.value)
