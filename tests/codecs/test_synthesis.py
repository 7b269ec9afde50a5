"""The synthesis transform alone: what it is trained on is what decoding gives it, and nothing else moves."""

import copy
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from torch import Tensor, nn

from lic.codecs import Codec
from lic.codecs.synthesis import reconstruct_from_symbols, tune_synthesis_alone
from lic.settings.names import CodecName
from tests.codecs.conftest import a_point

GAINS_INSIDE: CodecName = "dcvc-uf-intra"
"""Its decoder takes the rate's gain beside the latent."""
CODECS: list[CodecName] = [name for name in get_args(CodecName) if name != GAINS_INSIDE]
PARENT = "ab" * 32


def test_a_decoder_with_gains_inside_is_refused(make_codec: Any) -> None:
    with pytest.raises(ValueError, match=f"--train decoder cannot tune {GAINS_INSIDE}: it wants a module `g_s`"):
        tune_synthesis_alone(make_codec(GAINS_INSIDE), GAINS_INSIDE, PARENT)


@pytest.mark.parametrize("name", CODECS)
def test_sees_what_decoding_does_and_moves_alone(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, point = make_codec(name), a_point(name)
    images = [make_image(37, 50, seed) for seed in (1, 2)]
    coded = [codec.compress(image, point) for image in images]
    before = {key: tensor.clone() for key, tensor in codec.state_dict().items() if "g_s." not in key}
    expected = [codec.decompress(one, 37, 50, point) for one in coded]
    tune_synthesis_alone(codec, name, PARENT)
    output = reconstruct_from_symbols(codec, torch.cat(images), point)
    assert torch.allclose(output.reconstruction.clamp(0, 1), torch.cat(expected), rtol=0, atol=2e-5)
    assert output.bpp.tolist() == pytest.approx([one.num_bits_estimated / (37 * 50) for one in coded], rel=1e-6)
    assert not output.bpp.requires_grad

    optimiser = torch.optim.Adam([each for each in codec.parameters() if each.requires_grad], 1e-2)
    (output.reconstruction - 1).square().mean().backward()
    moved = {key for key, parameter in codec.named_parameters() if parameter.grad is not None}
    assert moved == {key for key, _ in codec.named_parameters() if key.startswith("network.g_s.")}
    optimiser.step()
    after = codec.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert [codec.compress(image, point) for image in images] == coded
    for one, decoded in zip(coded, expected, strict=True):
        assert (codec.decompress(one, 37, 50, point) - decoded).abs().max() > 1e-3


def test_tables_stay_in_copies_and_state_too(make_codec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    codec: Codec = make_codec("mbt2018-mean")
    tune_synthesis_alone(codec, "mbt2018-mean", PARENT)
    tables = {key: tensor.clone() for key, tensor in codec.state_dict().items() if "_cdf" in key}
    monkeypatch.setattr(type(codec.network), "update", lambda *_, **__: pytest.fail("built again"))
    with torch.no_grad():
        codec.network.g_s[0].weight += 1
    copied = copy.deepcopy(codec)
    with torch.no_grad():
        copied.network.g_a[0].weight += 0  # as an average of weights does
    copied.build_tables()
    for each in (codec, copied):
        assert all(torch.equal(tensor, each.state_dict()[key]) and len(tensor) for key, tensor in tables.items())


class _SharesWeights(MeanScaleHyperprior):  # type: ignore[misc]  # CompressAI has no types
    def compress(self, x: Tensor) -> Any:
        return super().compress(x + 50 * self.g_s[0].weight.sum())


class _Refines(MeanScaleHyperprior):  # type: ignore[misc]  # the same
    def decompress(self, strings: Any, shape: Any) -> Any:
        return {"x_hat": super().decompress(strings, shape)["x_hat"] ** 2}


class _Calls(nn.Module):
    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, latent: Tensor, gain: float = 1.0) -> Tensor:
        return self.transform(latent) * gain  # type: ignore[no-any-return]


class _TwoInputs(MeanScaleHyperprior):  # type: ignore[misc]  # the same
    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.g_s = _Calls(self.g_s)

    def decompress(self, strings: Any, shape: Any) -> Any:
        scales, means = self.h_s(self.entropy_bottleneck.decompress(strings[1], shape)).chunk(2, 1)
        indexes = self.gaussian_conditional.build_indexes(scales)
        return {"x_hat": self.g_s(self.gaussian_conditional.decompress(strings[0], indexes, means=means), 1.0)}


class _OtherName(MeanScaleHyperprior):  # type: ignore[misc]  # the same
    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.synthesis = self.g_s
        del self.g_s


@pytest.mark.parametrize("network", [_SharesWeights, _Refines, _TwoInputs, _OtherName])
def test_what_cannot_be_separated_is_refused(network: Callable[[int, int], nn.Module]) -> None:
    torch.manual_seed(0)
    codec = Codec(network(8, 12))
    with torch.no_grad():
        codec.network.g_a[-1].weight *= 40
    weights = [parameter.clone() for parameter in codec.parameters()]
    with pytest.raises(ValueError, match="--train decoder cannot tune mine: it wants a module `g_s`"):
        tune_synthesis_alone(codec, "mine", PARENT)
    assert all(torch.equal(one, other) for one, other in zip(weights, codec.parameters(), strict=True))
