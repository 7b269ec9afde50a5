"""Optimisers: whose parameters they move, that quantiles get Adam's step, that a state goes on exactly."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lic.codecs import Codec, build_codec
from lic.settings.names import LEARNING_RATES, CodecName, OptimizerName
from lic.training.optimizers import build_optimizer

NAMES: list[OptimizerName] = ["adam", "soap", "muon"]
SIZES: dict[CodecName, tuple[int, int, list[float]]] = {
    "mbt2018-mean": (8, 12, []), "mbt2018-mean-vbr": (8, 12, [0.01, 0.02]), "mlicpp": (8, 32, []),
    "dcvc-uf-intra": (8, 8, [0.01, 0.02]),
}  # fmt: skip


def small(name: CodecName = "mbt2018-mean") -> Codec:
    torch.manual_seed(0)
    return build_codec(name, *SIZES[name])


def gradients(codec: Codec, num_steps: int) -> Callable[[int], list[Tensor]]:
    """Return a gradient for each parameter, by step; large enough that their sizes tell nothing."""
    generator = torch.Generator().manual_seed(1)
    drawn = [[torch.randn(p.shape, generator=generator) for p in codec.parameters()] for _ in range(num_steps)]
    return drawn.__getitem__


def steps(optimizer: torch.optim.Optimizer, codec: Codec, drawn: list[list[Tensor]]) -> None:
    for one in drawn:
        for parameter, gradient in zip(codec.parameters(), one, strict=True):
            parameter.grad = gradient.clone() if parameter.requires_grad else None
        optimizer.step()


@pytest.mark.parametrize("codec_name", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_every_trainable_parameter_is_in_one_group_and_the_quantiles_in_the_last(
    name: OptimizerName, codec_name: CodecName
) -> None:
    codec = small(codec_name)
    groups = build_optimizer(name, codec, LEARNING_RATES[name], 1e-3).param_groups
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == {id(parameter) for parameter in codec.parameters() if parameter.requires_grad}
    assert {id(parameter) for parameter in groups[-1]["params"]} == {id(parameter) for parameter in codec.quantiles()}


@pytest.mark.parametrize("name", NAMES)
def test_quantiles_get_adams_step(name: OptimizerName) -> None:
    """SOAP spends its first gradient on the preconditioner; from then on the steps are torch's Adam's."""
    codec, drawn = small(), gradients(small(), 14)
    steps(build_optimizer(name, codec, LEARNING_RATES[name], 1e-2), codec, [drawn(i) for i in range(14)])
    reference = small()
    adam = torch.optim.Adam(reference.quantiles(), lr=1e-2)
    steps(adam, reference, [drawn(i) for i in range(name == "soap", 14)])
    for own, expected in zip(codec.quantiles(), reference.quantiles(), strict=True):
        torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_goes_on_exactly(name: OptimizerName) -> None:
    """Over renewals of SOAP's bases; read back without unpickling code."""
    whole, part, drawn = small(), small(), gradients(small(), 23)
    steps(build_optimizer(name, whole, LEARNING_RATES[name], 1e-3), whole, [drawn(i) for i in range(23)])
    first = build_optimizer(name, part, LEARNING_RATES[name], 1e-3)
    steps(first, part, [drawn(i) for i in range(14)])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = build_optimizer(name, part, LEARNING_RATES[name], 1e-3)
    second.load_state_dict(torch.load(file, weights_only=True))
    steps(second, part, [drawn(i) for i in range(14, 23)])
    for expected, own in zip(whole.parameters(), part.parameters(), strict=True):
        assert torch.equal(expected, own)


@pytest.mark.parametrize("codec_name", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_lowers_the_loss_of_every_kind_of_codec_in_bf16(name: OptimizerName, codec_name: CodecName) -> None:
    codec = small(codec_name).train()
    codec.centre_quantiles()
    optimizer = build_optimizer(name, codec, LEARNING_RATES[name], 1e-3)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(13):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            output = codec(image, next(iter(codec.grid), None))
            loss = output.bpp.mean() + 650 * (output.reconstruction - image).square().mean()
        optimizer.zero_grad()
        (loss + codec.auxiliary_loss()).backward()
        torch.nn.utils.clip_grad_norm_(codec.weights(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(parameter.isfinite().all() for parameter in codec.parameters())


def test_soap_preconditions_kernels_on_all_sides_and_quantiles_on_none() -> None:
    codec, drawn = small(), gradients(small(), 2)
    optimizer = build_optimizer("soap", codec, LEARNING_RATES["soap"], 1e-3)
    steps(optimizer, codec, [drawn(i) for i in range(2)])
    kernel, quantiles = codec.network.g_a[2].weight, next(codec.quantiles())
    assert [len(side) for side in optimizer.state[kernel]["Q"]] == [8, 8, 5, 5]
    assert [len(side) for side in optimizer.state[quantiles]["Q"]][:1] == [0]
