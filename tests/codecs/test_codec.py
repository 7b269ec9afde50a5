"""Codecs: strings decode to the codec's own reconstruction, and no way of using one leaves its CDF tables stale."""

import copy
from typing import Any, get_args

import pytest
import torch
from compressai.models import MeanScaleHyperprior, ScaleHyperprior
from compressai.models.base import get_scale_table
from torch import Tensor, nn

from lic.codecs import Codec, build_codec
from lic.settings.names import CodecName
from tests.codecs.conftest import a_point, small_codec

CODECS: tuple[CodecName, ...] = get_args(CodecName)
TWO: tuple[CodecName, ...] = ("bmshj2018-hyperprior", "mbt2018-mean")
WITHOUT_QUANTILES = ("dcvc-uf-intra",)
"""The tails of its hyper latent's density follow from the density."""
WITH_QUANTILES = tuple(name for name in CODECS if name not in WITHOUT_QUANTILES)
ROUNDS_OTHERWISE = ("mbt2018", "cheng2020-anchor", "cheng2020-attn")
"""Their forward pass rounds the latent, their coding its distance from the predicted mean (CompressAI #236)."""
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
    copied = small_codec(name)
    weights = dict(codec.named_parameters())
    with torch.no_grad():
        for parameter_name, parameter in copied.named_parameters():
            parameter.copy_(weights[parameter_name])
    return copied.eval()


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 1), (37, 65), (130, 63), (256, 192)])
def test_coded_symbols_decode_to_the_codecs_own_reconstruction(
    name: CodecName, height: int, width: int, make_codec: Any, make_image: Any
) -> None:
    codec, image, point = make_codec(name), make_image(height, width), a_point(name)
    coded = codec.compress(image, point)
    decoded = codec.decompress(coded, height, width, point)
    with torch.no_grad():
        reconstruction = codec(image, point).reconstruction.clamp(0, 1)
    assert decoded.shape == image.shape
    assert height * width == 1 or decoded.unique().numel() > 100
    if name in ROUNDS_OTHERWISE:
        assert (decoded - reconstruction).square().mean() < 0.03
    else:
        assert torch.allclose(decoded, reconstruction, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", CODECS)
def test_decoder_has_the_encoders_latent(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, image, point = make_codec(name), make_image(256, 192), a_point(name)
    seen: list[Tensor] = []
    codec.network.g_s.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].clone()))
    coded = codec.compress(image, point)
    codec.decompress(coded, 256, 192, point)
    latent = seen[-1]
    with torch.no_grad():
        if codec.rates:
            row = torch.tensor([codec.rate(point)])
            y = codec.network._analyse(image, row)[0] * codec.network.inverse_gain_y[row][..., None, None]
            gain = codec.network.gain_y[row][..., None, None]
        else:
            y, gain = codec.network.g_a(image), torch.tensor(1) if point is None else codec.gain(point)
    assert (latent != 0).sum() > 500, "the test's latents are trivial"
    moves_after_rounding = point is not None or name.startswith("mlicpp")  # a quantiser's offset, a predicted residual
    assert ((latent - y).abs() * gain).max() < 0.51 + 0.5 * moves_after_rounding


HYPER = ("bmshj2018-hyperprior", "mbt2018-mean", "mbt2018-mean-vbr", "cheng2020-anchor-checkerboard", "mbt2018")


@pytest.mark.parametrize("name", HYPER)
def test_another_machines_rounding_decodes_alike(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, image, point = make_codec(name), make_image(512, 512), a_point(name)
    with torch.no_grad():
        for path, module in codec.network.named_modules():
            if path.endswith(("h_s", "entropy_parameters")) and not isinstance(module, nn.Identity):
                last = [layer for layer in module.modules() if hasattr(layer, "bias")][-1]
                last.weight *= 1e-3  # many scales at the edge between two tables, where rounding decides
                edge = get_scale_table()[20] / (codec.gain(point) if point else 1)
                last.bias[: len(last.bias) // (1 if name == "bmshj2018-hyperprior" else 2)] = edge
    coded = codec.compress(image, point)
    expected = codec.decompress(coded, 512, 512, point)
    factor = torch.ones(())

    def round_otherwise(_: Any, __: Any, output: Tensor) -> Tensor:
        return output * factor

    for path, module in codec.network.named_modules():
        if path.endswith(("h_s", "entropy_parameters")):
            module.register_forward_hook(round_otherwise)
    for other in (1 - 5e-7, 1 + 5e-7):
        factor.fill_(other)
        assert torch.allclose(codec.decompress(coded, 512, 512, point), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", TWO)
def test_decodes_with_the_encoders_threads(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, image, own = make_codec(name), make_image(300, 200), torch.get_num_threads()
    torch.set_num_threads(2)
    coded = codec.compress(image)
    expected = codec.decompress(coded, 300, 200)
    torch.set_num_threads(1)
    assert coded.num_threads == 2 and torch.equal(codec.decompress(coded, 300, 200), expected)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(own)


@pytest.mark.parametrize("name", [*TWO, "dcvc-uf-intra"])
def test_estimated_rate_is_the_strings_length(name: CodecName, make_codec: Any, make_image: Any) -> None:
    codec, image, point = make_codec(name), make_image(500, 380), a_point(name)
    latents: list[Tensor] = []
    codec.network.g_a.register_forward_hook(lambda _, __, latent: latents.append(latent))
    with torch.no_grad():
        estimated = codec(image, point).bpp.item() * 500 * 380 / 8
    assert (latents[0].round() != 0).sum() > 5000, "the test's latents are trivial"
    actual = len(codec.compress(image, point).string)
    assert abs(actual - estimated) < 0.01 * estimated + 8  # the range coder's state
    assert actual > 2000


@pytest.mark.parametrize("name", TWO)
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


@pytest.mark.parametrize("name", TWO)
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


@pytest.mark.parametrize("name", ["mbt2018-mean", "elic2022-official"])
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
    codec = small_codec(name)
    weights, quantiles = list(codec.weights()), list(codec.quantiles())
    assert len(quantiles) == (name in WITH_QUANTILES)
    everything = [id(parameter) for parameter in codec.parameters()]
    assert sorted(map(id, weights + quantiles)) == sorted(everything) and len(set(everything)) == len(everything)
    if quantiles:
        codec.auxiliary_loss().backward()
    assert [p for p in codec.parameters() if p.grad is not None and p.grad.any()] == quantiles


def test_rate_distortion_loss_moves_no_quantile(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec().train(), make_image(64, 64)
    output = codec(image)
    (output.bpp.mean() + output.reconstruction.square().mean()).backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in codec.quantiles())
    gradients = [parameter.grad for parameter in codec.weights()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", WITH_QUANTILES)
def test_centred_quantiles_leave_little_auxiliary_loss(name: CodecName) -> None:
    torch.manual_seed(0)
    codec = small_codec(name)
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
    theirs, ours = plain.compress(image), codec.compress(image)
    assert len(ours.string) <= sum(len(strings[0]) for strings in theirs["strings"])
    decoded = plain.decompress(theirs["strings"], theirs["shape"])["x_hat"]
    assert torch.allclose(decoded.clamp(0, 1), codec.decompress(ours, 64, 128), rtol=0, atol=1e-5)


def test_autocast_does_not_reach_the_strings(make_codec: Any, make_image: Any) -> None:
    codec, image = make_codec(), make_image(64, 64)
    expected = codec.compress(image)
    with torch.autocast("cpu", torch.bfloat16):
        coded = codec.compress(image)
        decoded = codec.decompress(coded, 64, 64)
    assert coded == expected and torch.equal(decoded, codec.decompress(expected, 64, 64))
