"""Codecs: strings decode to the codec's own reconstruction, and no way of using one leaves its CDF tables stale."""

import copy
import math
from typing import Any, get_args

import pytest
import torch
from compressai.models import MeanScaleHyperprior, ScaleHyperprior
from torch import Tensor, nn

from lic.codecs import Codec, Strings, build_codec
from lic.config import CodecName

CODECS = get_args(CodecName)
TABLES = ("._offset", "._quantized_cdf", "._cdf_length", ".scale_table")


def tables(codec: Codec) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in codec.state_dict().items() if name.endswith(TABLES)}


def optimise(codec: Codec, image: Tensor, num_steps: int = 2) -> None:
    """Some steps as training takes them: Adam on the weights and on the quantiles."""
    groups = [{"params": list(codec.weights()), "lr": 1e-2}, {"params": list(codec.quantiles()), "lr": 1.0}]
    optimiser = torch.optim.Adam(groups)
    codec.train()
    for _ in range(num_steps):
        optimiser.zero_grad()
        output = codec(image)
        (output.bpp.mean() + (output.reconstruction - image).square().mean() + codec.auxiliary_loss()).backward()
        optimiser.step()
    codec.eval()


def fresh_copy(name: CodecName, codec: Codec) -> Codec:
    """A codec of the same weights that has never seen a table."""
    copied = build_codec(name, 8, 12)
    weights = dict(codec.named_parameters())
    with torch.no_grad():
        for parameter_name, parameter in copied.named_parameters():
            parameter.copy_(weights[parameter_name])
    return copied.eval()


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 1), (37, 65), (130, 63), (256, 192)])
def test_strings_decode_to_the_codecs_own_reconstruction(
    name: CodecName, height: int, width: int, make_codec: Any, make_image: Any
) -> None:
    codec, image = make_codec(name), make_image(height, width)
    strings = codec.compress(image)
    decoded = codec.decompress(strings, height, width)
    with torch.no_grad():
        reconstruction = codec(image).reconstruction
    assert decoded.shape == image.shape
    assert strings.shape == (math.ceil(height / 64), math.ceil(width / 64))
    assert torch.equal(decoded, reconstruction.clamp(0, 1))
    assert height * width == 1 or decoded.unique().numel() > 100


@pytest.mark.parametrize("name", CODECS)
def test_estimated_rate_is_the_strings_length(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(name), make_image(500, 380)
    with torch.no_grad():
        estimated = codec(image).bpp.item() * 500 * 380 / 8
        latent = codec.network.g_a(torch.nn.functional.pad(image, (0, 4, 0, 12), mode="replicate"))
    assert (latent.round() != 0).sum() > 5000, "the test's latents are trivial"
    actual = sum(map(len, codec.compress(image).strings))
    assert abs(actual - estimated) < 0.01 * estimated + 16  # two range coder states
    assert actual > 2000


@pytest.mark.parametrize("name", CODECS)
def test_rate_counts_each_image_alone_and_no_padding(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, images = make_codec(name), torch.cat([make_image(70, 50, 1), make_image(70, 50, 2) / 4])
    with torch.no_grad():
        output = codec(images)
        padded = torch.nn.functional.pad(images, (0, 14, 0, 58), mode="replicate")
        whole = codec.network(padded)
    for i in range(2):
        bits = sum(-part[i].double().log2().sum() for part in whole["likelihoods"].values())
        assert output.bpp[i].item() == pytest.approx(bits.item() / (70 * 50), rel=1e-5)
    assert torch.equal(output.reconstruction, whole["x_hat"][..., :70, :50])


@pytest.mark.parametrize("name", CODECS)
def test_tables_follow_the_optimiser(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(name), make_image(96, 64)
    before = codec.compress(image)
    optimise(codec, image)
    fresh = fresh_copy(name, codec)
    after = codec.compress(image)
    assert after == fresh.compress(image) != before
    with torch.no_grad():
        reconstruction = codec(image).reconstruction.clamp(0, 1)
    for each in (codec, fresh):
        assert torch.equal(each.decompress(after, 96, 64), reconstruction)
    for one, other in zip(tables(codec).values(), tables(fresh).values(), strict=True):
        assert torch.equal(one, other)


def test_decompress_after_training_builds_tables_too(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(), make_image(64, 64)
    codec.build_tables()
    optimise(codec, image)
    strings = fresh_copy("mbt2018-mean", codec).compress(image)
    with torch.no_grad():
        assert torch.equal(codec.decompress(strings, 64, 64), codec(image).reconstruction.clamp(0, 1))


def test_tables_are_built_once(make_codec: Any, make_image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, image = make_codec(), make_image(64, 64)
    calls: list[bool] = []
    update = codec.network.update
    monkeypatch.setattr(codec.network, "update", lambda **settings: (calls.append(True), update(**settings)))
    codec.decompress(codec.compress(image), 64, 64)
    codec.compress(image)
    assert len(calls) == 1
    optimise(codec, image)
    codec.compress(image)
    assert len(calls) == 2


def test_a_copy_has_tables_of_its_own(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(), make_image(64, 64)
    copied = copy.deepcopy(codec)  # its parameters count their changes from 0
    copied.build_tables()
    again = copy.deepcopy(copied)
    for parameter in again.parameters():
        parameter.data = parameter.data.half().float()
    assert again.compress(image) == fresh_copy("mbt2018-mean", again).compress(image)


class Parent(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("through_parent", [False, True])
@pytest.mark.parametrize("source_has_tables", [False, True])
@pytest.mark.parametrize("target_has_tables", [False, True])
def test_state_dicts_load_with_and_without_tables(
    name: CodecName,
    through_parent: bool,
    source_has_tables: bool,
    target_has_tables: bool,
    make_codec: Any,
    make_image: Any,
) -> None:
    source, target, image = make_codec(name, 0), make_codec(name, 7), make_image(64, 96)
    if source_has_tables:
        source.build_tables()
    if target_has_tables:
        target.build_tables()
    ends = (Parent(source), Parent(target)) if through_parent else (source, target)
    ends[1].load_state_dict(ends[0].state_dict())
    assert target.compress(image) == fresh_copy(name, source).compress(image)
    assert target.compress(image) != make_codec(name, 7).compress(image)


def test_tables_of_a_state_dict_are_kept(make_codec: Any) -> None:
    source, target = make_codec(), build_codec("mbt2018-mean", 8, 12)
    source.build_tables()
    state = source.state_dict()
    state["network.entropy_bottleneck._offset"] = state["network.entropy_bottleneck._offset"] - 1  # another machine's
    target.load_state_dict(state)
    target.build_tables()
    for name, table in tables(target).items():
        assert torch.equal(table, state[name]), name


def test_stale_tables_are_left_out_of_a_state_dict(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(), make_image(64, 64)
    codec.build_tables()
    assert all(table.numel() for table in tables(codec).values())
    optimise(codec, image)
    names = set(tables(codec))
    assert len(names) == 7 and not any(table.numel() for table in tables(codec).values())
    parent_state = Parent(codec).state_dict()
    assert not any(parent_state[f"codec.{name}"].numel() for name in names)
    assert codec.network.entropy_bottleneck._quantized_cdf.numel()  # the state dict is emptied, not the codec
    codec.build_tables()
    assert all(table.numel() for table in tables(codec).values())


@pytest.mark.parametrize("name", CODECS)
def test_weights_and_quantiles_are_a_partition(name: CodecName) -> None:
    codec = build_codec(name, 8, 12)
    weights, quantiles = list(codec.weights()), list(codec.quantiles())
    assert len(quantiles) == 1 and quantiles[0] is codec.network.entropy_bottleneck.quantiles
    everything = [id(parameter) for parameter in codec.parameters()]
    assert sorted(map(id, weights + quantiles)) == sorted(everything) and len(set(everything)) == len(everything)
    codec.auxiliary_loss().backward()
    assert [p for p in codec.parameters() if p.grad is not None and p.grad.any()] == quantiles


def test_rate_distortion_loss_moves_no_quantile(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec().train(), make_image(64, 64)
    output = codec(image)
    (output.bpp.mean() + output.reconstruction.square().mean()).backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in codec.quantiles())
    gradients = [parameter.grad for parameter in codec.weights()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", CODECS)
def test_centred_quantiles_leave_little_auxiliary_loss(name: CodecName) -> None:
    torch.manual_seed(0)
    codec = build_codec(name, 8, 12)
    before = codec.auxiliary_loss().item()
    codec.centre_quantiles()
    assert codec.auxiliary_loss().item() < 0.05 * before


@pytest.mark.parametrize(
    ("name", "architecture"), [("bmshj2018-hyperprior", ScaleHyperprior), ("mbt2018-mean", MeanScaleHyperprior)]
)
def test_compressais_own_names_are_kept(name: CodecName, architecture: Any, make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(name), make_image(64, 128)
    plain = architecture(8, 12)
    assert list(codec.state_dict()) == [f"network.{key}" for key in plain.state_dict()]
    state = codec.state_dict()
    plain.load_state_dict({key.removeprefix("network."): value for key, value in state.items()})
    plain.eval().update(force=True)
    coded = plain.compress(image)
    assert Strings(tuple(s[0] for s in coded["strings"]), tuple(coded["shape"])) == codec.compress(image)
    decoded = plain.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert torch.equal(decoded.clamp(0, 1), codec.decompress(codec.compress(image), 64, 128))


def test_autocast_does_not_reach_the_strings(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(), make_image(64, 64)
    expected = codec.compress(image)
    with torch.autocast("cpu", torch.bfloat16):
        strings = codec.compress(image)
        decoded = codec.decompress(strings, 64, 64)
    assert strings == expected and torch.equal(decoded, codec.decompress(expected, 64, 64))
