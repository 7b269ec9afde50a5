"""ELIC and MLIC++ at variable rate, against CompressAI's ELIC and offsets, and against numbers once computed.

Whoever changes the codecs on purpose runs `PYTHONPATH=. python tests/codecs/test_variable_rate.py`.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from compressai.models import Elic2022Official
from compressai.models.vbr import MeanScaleHyperpriorVbr
from torch import Tensor, nn

from lic.codecs import Codec, build_codec
from lic.codecs.mlicpp import MLICPlusPlus
from lic.settings.names import CodecName
from tests.codecs.test_convert import official_image, pseudo_random

GRID = (0.0018, 0.0067, 0.025, 0.09)
NAMES: tuple[CodecName, ...] = ("elic2022-official-vbr", "mlicpp-vbr")
GOLDEN = Path(__file__).parent / "golden" / "variable_rate.json"
KEPT = tuple(f"entropy_bottleneck.{name}.{i}" for name in ("matrices", "factors") for i in range(5))
"""As they are built, without chance: a density as wide as the hyper latents."""
LATENT_SIZE = {"g_a.6.weight": 60.0, "g_a.13.weight": 95.0}
"""By which the last convolution of MLIC++'s g_a, of ELIC's, is multiplied: latents that suit scales of 3."""


def formula_weight(name: str, shape: torch.Size, seed: int) -> Tensor:
    """A weight that does not depend on torch's generators: latents of some units, every extension at work."""
    numbers = pseudo_random(list(shape), seed)
    if name.endswith("gamma"):
        return 0.2 * torch.eye(shape[0]) + 0.02 * numbers.abs()
    if name.endswith("quantiles"):
        return torch.tensor([-20.0, 0.0, 20.0]) + 0.1 * numbers
    if name.endswith("beta") or ".norm" in name:
        return 1 + 0.3 * numbers
    if name == "QuantABCD.4.bias":
        return torch.full(shape, 0.2)
    weight = numbers * (math.sqrt(0.7 / math.prod(shape[1:])) if len(shape) > 1 else 0.1)
    if name in LATENT_SIZE:
        return weight * LATENT_SIZE[name]
    if name.endswith("h_a.8.weight") or name.endswith("h_a.4.weight"):
        return weight * (5 if name.endswith("h_a.4.weight") else 150)
    is_scale = re.search(r"entropy_parameters(_\w+)?\.(4|6)\.bias", name)
    return weight + 3 * (torch.arange(shape[0]) < shape[0] // 2) if is_scale else weight


def formula_codec(name: CodecName) -> Codec:
    """A codec in eval mode."""
    codec = build_codec(name, 16, 64 if name == "mlicpp-vbr" else 32, GRID)
    with torch.no_grad():
        for seed, (key, parameter) in enumerate(sorted(codec.network.named_parameters())):
            if key != "Gain" and not key.endswith(KEPT):
                parameter.copy_(formula_weight(key, parameter.shape, seed))
    return codec.eval()


@pytest.fixture(scope="module", params=NAMES)
def codec(request: pytest.FixtureRequest) -> Codec:
    """One of the two, for tests that leave it as it is."""
    return formula_codec(request.param)


def single_rate(codec: Codec) -> nn.Module:
    """CompressAI's ELIC, or our MLIC++, which is compared with the official one, of a codec's weights."""
    is_elic = isinstance(codec.network, Elic2022Official)
    plain = Elic2022Official(16, 32, codec.network.groups) if is_elic else MLICPlusPlus(16, 64)
    plain.load_state_dict({k: v for k, v in codec.network.state_dict().items() if k in plain.state_dict()})
    return plain.eval()


def test_without_gain_it_is_the_single_rate_codec(codec: Codec) -> None:
    plain, image = single_rate(codec), official_image(128, 192)
    neutral = formula_codec("elic2022-official-vbr" if isinstance(plain, Elic2022Official) else "mlicpp-vbr")
    with torch.no_grad():
        for parameter in (*neutral.network.QuantABCD[-1].parameters(), *neutral.network.gain_to_side.parameters()):
            parameter.zero_()
        expected = plain(image)
        outputs = [codec.network(image, stage=1), neutral.network(image, inputscale=torch.tensor(1.0))]
    for output in outputs:
        torch.testing.assert_close(output["x_hat"], expected["x_hat"], rtol=0, atol=1e-4)
        for part in ("y", "z"):
            bits = [-each["likelihoods"][part].log2().sum() for each in (output, expected)]
            assert bits[0].item() == pytest.approx(bits[1].item(), rel=1e-5) and bits[1] > 100


@pytest.mark.parametrize("gain", [0.2, 1.0, 2.5])
def test_offsets_are_compressais(gain: float, codec: Codec) -> None:
    torch.manual_seed(0)
    reference, seen = MeanScaleHyperpriorVbr(8, 12).eval(), list[Tensor]()
    with torch.no_grad():
        reference.g_a[-1].weight *= 60
        reference.h_s[-1].bias[:12] += 2
        reference.QuantABCD.load_state_dict(codec.network.QuantABCD.state_dict())
        reference.gaussian_conditional.register_forward_hook(
            lambda _, inputs, means, output: seen.extend((*inputs, means["means"], output[1])), with_kwargs=True
        )
        reference.g_s.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        scale = torch.tensor(gain)
        reference(official_image(128, 128), inputscale=scale)
        values, scales, means, likelihoods, expected = seen
        residual = values - means
        decoded = codec.network.dequantise(residual.round(), scales, scale) + means / gain
        ours = codec.network.gaussian(0)(residual, scales)[1]
    assert (residual.round() != 0).float().mean() > 0.1
    moved = (decoded - means / gain) * gain - residual.round()
    assert moved[residual.round() != 0].abs().median() > 0.03, "the test's offsets are none"
    close = (decoded - expected).abs() < 1e-4
    assert close.float().mean() > 0.999  # ties are rounded either way
    assert (ours - likelihoods).abs()[close].max() < 1e-4


@pytest.mark.parametrize("lmbda", [0.0018, 0.004, 0.025, 0.06, 0.09])
def test_coding_is_exact_and_costs_what_is_estimated(lmbda: float, codec: Codec) -> None:
    image, latents = official_image(250, 330), list[Tensor]()
    hook = codec.network.g_s.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0].clone()))
    coded = codec.compress(image, lmbda)
    decoded = codec.decompress(coded, 250, 330, lmbda)
    with torch.no_grad():
        output = codec(image, lmbda)
    hook.remove()
    assert torch.equal(latents[0], latents[1]), "the decoder's contexts saw another latent than the estimate's"
    assert torch.equal(decoded, output.reconstruction.clamp(0, 1))
    assert latents[0].count_nonzero() > 5000
    num_bytes = output.bpp.item() * 250 * 330 / 8
    assert abs(len(coded.string) - num_bytes) < 0.01 * num_bytes and len(coded.string) > 1000


def test_streams_grow_with_lmbda(codec: Codec) -> None:
    image = official_image(128, 128)
    sizes = [len(codec.compress(image, lmbda).string) for lmbda in (0.0018, 0.0067, 0.012, 0.025, 0.09)]
    assert sizes == sorted(sizes) and sizes[-1] > 1.5 * sizes[0]


def numbers(codec: Codec) -> list[dict[str, Any]]:
    """What a codec computes at each lmbda of its grid."""
    image, found = official_image(64, 128), []
    for lmbda in GRID:
        with torch.no_grad():
            output = codec.network(image, inputscale=codec.gain(lmbda))
        bits = {f"{k}_bits": -v.double().log2().sum().item() for k, v in output["likelihoods"].items()}
        sample = output["x_hat"].flatten()[:: output["x_hat"].numel() // 8 + 3].tolist()
        found.append({"lmbda": lmbda, **bits, "x_hat": [round(value, 6) for value in sample]})
    return found


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_once(name: CodecName) -> None:
    for expected, came in zip(json.loads(GOLDEN.read_text())[name], numbers(formula_codec(name)), strict=True):
        assert came.pop("x_hat") == pytest.approx(expected.pop("x_hat"), abs=1e-4)
        assert came == pytest.approx(expected, rel=1e-4)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: numbers(formula_codec(name)) for name in NAMES}, indent=1) + "\n")
