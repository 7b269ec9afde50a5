"""Conversion of DCVC-UF-Intra: the official checkpoint's names give the official outputs, a wrong file is one line."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lic.codecs import Codec, load_codec
from lic.codecs.convert_dcvc import LMBDAS, convert_dcvc
from lic.commands.convert import main
from tests.codecs.test_convert import official_image, pseudo_random

# Names and shapes of the official state dict, and what the official code (github.com/microsoft/DCVC, commit 54e8864)
# computes on a CPU with the weights below, rounding where it adds noise; widths 16, 8 and 4 for 384, 256 and 128.
GOLDEN = json.loads((Path(__file__).parent / "golden" / "dcvc.json").read_text())


def official_weight(name: str, shape: list[int], seed: int) -> Tensor:
    """A weight of the official model: of a plausible size, and such that symbols are not zero."""
    numbers = pseudo_random(shape, seed)
    if name.startswith("q_scale"):
        return 1 + 0.4 * numbers
    if name.startswith("bit_estimator_z"):
        return 0.5 * numbers
    if len(shape) == 1:
        is_of_scales = name in ("y_prior_fusion.conv.3.bias", "y_spatial_prior.conv.3.bias")
        return 0.1 * numbers + 2.0 * is_of_scales * (torch.arange(shape[0]) < shape[0] // 2)
    size = 0.3 if name.endswith(("dc.3.weight", "ffn.2.weight")) else 1.5
    size *= {"enc.enc_2.6.weight": 12, "dec.dec_2.adaptor.weight": 0.05}.get(name, 1)
    return numbers * size * math.sqrt(1 / math.prod(shape[1:]))


def official_state() -> dict[str, Tensor]:
    """A state dict with the official names."""
    return {name: official_weight(name, shape, seed) for seed, (name, shape) in enumerate(GOLDEN["shapes"].items())}


def saved(content: object, folder: Path) -> Path:
    path = folder / "official.pth.tar"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("expected", GOLDEN["outputs"], ids=lambda each: f"{each['height']}x{each['width']}")
def test_official_outputs(expected: dict[str, Any], tmp_path: Path) -> None:
    codec = convert_dcvc(saved({"state_dict": official_state()}, tmp_path))
    image = official_image(expected["height"], expected["width"]).clamp(0, 1)
    with torch.no_grad():
        output = codec.network(image, torch.tensor([expected["qp"]]))
    for name, likelihoods in output["likelihoods"].items():
        bits = -likelihoods.double().log2().sum().item()
        assert bits == pytest.approx(expected[f"{name}_bits"], rel=1e-5), name
    sample = output["x_hat"].flatten()[:: output["x_hat"].numel() // 8 + 3].tolist()
    assert sample == pytest.approx(expected["x_hat"], abs=1e-5)


@pytest.mark.parametrize("form", ["bare", "module", "net"])
def test_forms_of_the_checkpoint(form: str, tmp_path: Path) -> None:
    state = official_state()
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    content = {"bare": state, "module": {"state_dict": wrapped}, "net": {"epoch": 3, "net": state, "opt": {}}}[form]
    converted = dict(convert_dcvc(saved(content, tmp_path)).network.named_parameters())
    assert torch.equal(converted["gain_g_a"], state["q_scale_enc"])
    assert torch.equal(converted["g_s.first.0.up.weight"], state["dec.dec_1.0.up.conv.0.weight"])


def test_every_parameter_gets_its_own_tensor(tmp_path: Path) -> None:
    state = {name: torch.full(shape, float(i)) for i, (name, shape) in enumerate(GOLDEN["shapes"].items())}
    values = [each.unique().item() for each in convert_dcvc(saved(state, tmp_path)).network.parameters()]
    assert sorted(values) == list(range(398))


def test_wrong_checkpoints(tmp_path: Path) -> None:
    state = official_state()
    lacking = {name: tensor for name, tensor in state.items() if name != "hyper_enc.conv.1.conv.dc.2.bias"}
    wrong = (
        (lacking, "lacks h_a.1.block.spatial.2.bias"),
        (state | {"decoder.weight": torch.zeros(1)}, "holds unknown decoder.weight"),
        (state | {"dec.dec_2.dc.0.bias": torch.zeros(3)}, "wrong shape: g_s.last.spatial.0.bias"),
        (state | {"q_scale_y_enc": torch.zeros(64, 6)}, "a multiple of 4, got 6"),
        ({"weight": torch.zeros(1)}, "is not of DCVC-UF-Intra"),
    )
    for content, message in wrong:
        with pytest.raises(ValueError, match=message) as error:
            convert_dcvc(saved(content, tmp_path))
        assert "official.pth.tar" in str(error.value) and "\n" not in str(error.value)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = saved({"state_dict": official_state()}, tmp_path), tmp_path / "out.safetensors"
    main(["dcvc-uf-intra", str(source), str(target)])
    assert capsys.readouterr().out == f"{target}: dcvc-uf-intra, 0.3 M parameters\n"
    loaded, image = load_codec(target), torch.rand(1, 3, 70, 90)
    assert loaded.header.options == {"num_channels": 16, "num_latent_channels": 8}
    assert (loaded.header.lmbda, loaded.header.distortion) == (list(LMBDAS), "mse")
    assert [loaded.codec.rate(lmbda) for lmbda in LMBDAS] == list(range(0, 64, 9))
    for lmbda in (LMBDAS[0], 0.02, LMBDAS[-1]):
        coded = loaded.codec.compress(image, lmbda)
        with torch.no_grad():
            expected = loaded.codec(image, lmbda).reconstruction.clamp(0, 1)
        assert torch.equal(loaded.codec.decompress(coded, 70, 90, lmbda), expected)
    own = dict(Codec(convert_dcvc(source).network).named_parameters())
    for name, parameter in loaded.codec.named_parameters():
        assert torch.equal(parameter, own[name].half().float()), name
    with pytest.raises(ValueError, match="leave --lmbda out"):
        main(["dcvc-uf-intra", str(source), str(target), "--lmbda", "0.01"])
    with pytest.raises(ValueError, match="give --lmbda"):
        main(["mlicpp", str(source), str(target)])
