"""MLIC++: parts against plain ones, strings against the forward pass. For the official outputs see test_convert."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from compressai.entropy_models import GaussianConditional
from torch import Tensor, nn

from lic.codecs.checkerboard import gather, scatter
from lic.codecs.mlicpp import MLICPlusPlus
from lic.codecs.mlicpp_context import ANCHOR, NON_ANCHOR, LocalContext, windows_of
from tests.support import noise_image


def make_network(seed: int = 0, m: int = 64, size: float = 1) -> MLICPlusPlus:
    """A small network in eval mode whose latents are of some units, or times `size`."""
    torch.manual_seed(seed)
    network = MLICPlusPlus(32, m)
    with torch.no_grad():
        network.g_a[-1].weight *= 30 * size
        network.h_a[-1].weight *= 40
        for entropy_model in network.slices:
            nn.init.normal_(entropy_model.local_context.relative_position_table, std=0.5)
            for parameters in (entropy_model.entropy_parameters_anchor, entropy_model.entropy_parameters_nonanchor):
                parameters[-1].weight *= 8
                parameters[-1].bias[:32] += 3 * size  # scales that suit such latents
    return network.eval()


@pytest.fixture(scope="module")
def network() -> MLICPlusPlus:
    """A network with CDF tables, for tests that leave it as it is."""
    network = make_network()
    network.update(force=True)
    return network


def is_anchor(height: int, width: int) -> Tensor:
    return (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 1


def test_number_of_parameters() -> None:
    count = sum(parameter.numel() for parameter in MLICPlusPlus().parameters())
    assert round(count / 1e6, 2) == 83.50  # the official README: 83.5 M


@pytest.mark.parametrize("m", [0, 40, -32])
def test_latent_channels_are_whole_slices(m: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 32 for M, came {m}$"):
        MLICPlusPlus(32, m)


def test_halves() -> None:
    board = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    for parity, mask in ((ANCHOR, is_anchor(4, 6)), (NON_ANCHOR, ~is_anchor(4, 6))):
        half = gather(board, parity)
        assert torch.equal(half.flatten(2), board[..., mask])
        assert torch.equal(scatter(half, parity), board * mask)


def plain_local_context(context: LocalContext, board: Tensor) -> Tensor:
    """The context at every place of a board (1, C, H, W), as arXiv 2307.15421 and the official code define it."""
    _, channels, height, width = board.shape
    size, dim = context.window, channels // context.num_heads
    query, key, value = context.qkv_proj(context.norm1(board[0].permute(1, 2, 0))).chunk(3, -1)
    pad = size // 2
    windows = [F.pad(part, (0, 0, pad, pad, pad, pad)) for part in (query, key, value)]
    anchors = F.pad(is_anchor(height, width), (pad, pad, pad, pad))
    place = torch.cartesian_prod(torch.arange(size), torch.arange(size))
    distance = place[:, None] - place + size - 1
    bias = context.relative_position_table[distance[..., 0] * (2 * size - 1) + distance[..., 1]]
    rows = []
    for row in range(height):
        for column in range(width):
            q, k, v = (part[row : row + size, column : column + size].flatten(0, 1) for part in windows)
            sees = anchors[row : row + size, column : column + size].flatten()
            mask = torch.where(sees[:, None] & sees, 0.0, -100.0)
            heads = []
            for head in range(context.num_heads):
                q_head, k_head, v_head = (part[:, head :: context.num_heads] for part in (q, k, v))
                heads.append((q_head @ k_head.T * dim**-0.5 + bias[..., head] + mask).softmax(-1) @ v_head)
            rows.append(context.fusion(torch.cat(heads, -1).T.view(1, channels, size, size)).flatten())
    fused = context.proj(torch.stack(rows))
    return (fused + context.mlp(context.norm2(fused))).T.view(1, -1, height, width)


@pytest.mark.parametrize(("height", "width", "window"), [(4, 4, 5), (8, 12, 5), (4, 8, 3), (4, 4, 7)])
def test_local_context(height: int, width: int, window: int) -> None:
    torch.manual_seed(1)
    context = LocalContext(window).double()  # -100 on the logits costs fp32 two digits
    with torch.no_grad():
        for parameter in context.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        board = 2 * torch.randn(1, 32, height, width).double() * is_anchor(height, width)
        expected = gather(plain_local_context(context, board), NON_ANCHOR)
        output = context(board, windows_of(height, width, window, board.device))
    assert expected.std() > 0.5
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 192), (192, 64)])
def test_strings_decode_to_the_reconstruction(network: MLICPlusPlus, height: int, width: int) -> None:
    image = noise_image(3, height, width)
    with torch.no_grad():
        coded = network.compress(image)
        decoded = network.decompress(coded["strings"], coded["shape"])["x_hat"]
        reconstruction = network(image)["x_hat"]
    assert torch.equal(decoded, reconstruction)
    assert tuple(coded["shape"]) == (height // 64, width // 64) and len(coded["strings"]) == 2 * 2 + 1


def test_large_latents(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(1, 96, size=8)
    network.update(force=True)
    symbols: list[Tensor] = []
    compress = network.gaussian_conditional.compress

    def record(residual: Tensor, indexes: Tensor) -> Any:
        assert residual.shape == indexes.shape == (1, 32, 16, 8)
        symbols.append(residual.round())
        return compress(residual, indexes)

    monkeypatch.setattr(network.gaussian_conditional, "compress", record)
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = network(image)
        coded = network.compress(image)
        decoded = network.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert torch.equal(decoded, output["x_hat"])
    everything = torch.cat([half.flatten() for half in symbols])
    assert len(symbols) == 6 and (everything != 0).sum() > 20_000 and everything.abs().max() > 30
    estimated = sum(-part.log2().sum().item() for part in output["likelihoods"].values()) / 8
    actual = sum(len(strings[0]) for strings in coded["strings"])
    assert abs(actual - estimated) < 0.01 * estimated + 7 * 8  # seven range coder states


def recorded(model: nn.Module, name: str, calls: list[tuple[str, Tensor]]) -> Callable[..., Any]:
    """An entropy model's method that notes its name and its indexes."""
    own = getattr(model, name)

    def method(*inputs: Any, **more: Any) -> Any:
        calls.append((name, inputs[1] if isinstance(model, GaussianConditional) else torch.zeros(())))
        return own(*inputs, **more)

    return method


def test_encoder_and_decoder_code_in_one_order(network: MLICPlusPlus, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Tensor]] = []
    hyper, main = network.entropy_bottleneck, network.gaussian_conditional
    for model, name in ((hyper, "compress"), (hyper, "decompress"), (main, "compress"), (main, "decompress")):

        monkeypatch.setattr(model, name, recorded(model, name, calls))
    with torch.no_grad():
        coded = network.compress(noise_image(0, 64, 128))
        network.decompress(coded["strings"], coded["shape"])
    assert [name for name, _ in calls] == ["compress", "decompress"] + ["compress"] * 4 + ["decompress"] * 5
    for (_, encoder), (_, decoder) in zip(calls[2:6], calls[7:], strict=True):
        assert torch.equal(encoder, decoder)
    assert network.entropy_bottleneck.decompress(coded["strings"][-1], coded["shape"]).shape == (1, 32, 1, 2)


def test_images_of_a_batch_do_not_mix(network: MLICPlusPlus) -> None:
    images = torch.cat([noise_image(5, 64, 128), 1 - noise_image(6, 64, 128) / 2])
    with torch.no_grad():
        together = network(images.contiguous(memory_format=torch.channels_last))
        alone = [network(image[None]) for image in images]
    for i in range(2):
        for one, other in (
            (together["x_hat"], alone[i]["x_hat"]),
            (together["likelihoods"]["y"], alone[i]["likelihoods"]["y"]),
            (together["likelihoods"]["z"], alone[i]["likelihoods"]["z"]),
        ):
            torch.testing.assert_close(one[i], other[0], rtol=1e-4, atol=1e-4)
    assert together["likelihoods"]["y"].shape == (2, 64, 4, 8) and together["likelihoods"]["z"].shape == (2, 32, 1, 2)


def test_state_dict_gives_back_the_network(network: MLICPlusPlus) -> None:
    image = noise_image(2, 64, 64)
    copied = MLICPlusPlus.from_state_dict(network.state_dict()).eval()
    with torch.no_grad():
        assert copied.compress(image) == network.compress(image)
    assert not network.update() and copied.downsampling_factor == 64


def test_mixed_quantisation() -> None:
    network, image = make_network().train(), noise_image(4, 64, 64)
    with torch.no_grad():
        one, other = network(image), network(image)
        exact = network.eval()(image)
    assert torch.equal(one["x_hat"], other["x_hat"]) and torch.equal(one["x_hat"], exact["x_hat"])
    for name in ("y", "z"):
        assert not torch.equal(one["likelihoods"][name], other["likelihoods"][name])


def loss_of(network: MLICPlusPlus, images: Tensor) -> Tensor:
    output = network(images)
    bits = sum(-part.log2().sum() for part in output["likelihoods"].values())
    return bits / images[:, 0].numel() + 100 * (output["x_hat"] - images).square().mean()


@pytest.mark.parametrize("is_bf16", [False, True])
def test_gradients_reach_every_weight(is_bf16: bool) -> None:
    network = make_network().train()  # an untrained one's hyper latents are all zero
    with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        output = network(noise_image(0, 64, 128))
    assert all(part.dtype == torch.float32 for part in output["likelihoods"].values())
    loss = sum(-part.log2().sum() for part in output["likelihoods"].values()) + output["x_hat"].float().square().sum()
    loss.backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == ["entropy_bottleneck.quantiles"]  # the auxiliary loss moves them
    gradients = {name: parameter.grad for name, parameter in network.named_parameters() if name not in without}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    still = [name for name, gradient in gradients.items() if not gradient.any()]
    assert still == [], still


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network, images = MLICPlusPlus(32, 64).train(), torch.cat([noise_image(seed, 64, 64) for seed in range(2)])
    weights = [parameter for name, parameter in network.named_parameters() if not name.endswith("quantiles")]
    optimiser = torch.optim.Adam(weights, 1e-3)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = loss_of(network, images)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses
