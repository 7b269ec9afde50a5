"""ML-CLIPSim against a plain re-computation, and what a training loss must not do."""

import io
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIPVisionCfg
from PIL import Image
from torch import Tensor

from lic.backbones.features import Backbone, clip_backbone, load_backbone
from lic.demo.networks import load_demo_clip
from lic.demo.scenes import draw_scene
from lic.distortions import MLCLIPSim, build_distortion, build_mlclipsim, with_backbones
from lic.distortions.cosine import one_minus_cos
from lic.distortions.default_backbone import PUBLISHED
from lic.distortions.looking import clamp_unit, shift, tile
from lic.distortions.mlclipsim import EMBEDDED
from lic.settings.metrics import FeaturesConfig, MetricsConfig, MLCLIPSimConfig
from tests.support import ON_DEMO


@pytest.fixture(scope="module")
def metric() -> MLCLIPSim:
    return MLCLIPSim.from_pretrained("demo")


@pytest.fixture(scope="module")
def scenes() -> Tensor:
    return torch.stack([torch.from_numpy(draw_scene("val", i).image).permute(2, 0, 1) for i in range(4)]).float() / 255


def tiny_tower(kind: str = "vit", input_px: int | None = None) -> Backbone:
    torch.manual_seed(0)
    if kind == "vit":
        vision = CLIPVisionCfg(layers=2, width=16, head_width=8, patch_size=8, image_size=32)
    else:
        vision = CLIPVisionCfg(layers=(1, 1, 1, 1), width=8, image_size=64)
    text = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}
    return clip_backbone(open_clip.CLIP(8, vision, text).visual, input_px)


def plain_similarity(metric: MLCLIPSim, a: Tensor, b: Tensor) -> Tensor:
    """The definition, stage by stage through the demo ResNet, with torch's own cosine similarity."""
    visual = load_demo_clip().visual
    mean, std = (torch.tensor(v)[:, None, None] for v in (visual.image_mean, visual.image_std))
    tokens: list[Tensor] = []
    trunk = visual.trunk
    for stage in (trunk.act1, trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
        stage.register_forward_hook(lambda _module, _input, output: tokens.append(output.flatten(2)))
    outputs: list[list[Tensor]] = []
    for image in (a, b):
        tokens.clear()
        embedding = visual((image - mean) / std)
        outputs.append([*(tokens[layer] for layer in metric.layers), embedding])
    parts = [F.cosine_similarity(x, y, dim=1) for x, y in zip(*outputs, strict=True)]
    means = [part.mean(1) if part.dim() == 2 else part for part in parts]
    return sum(w * m for w, m in zip(metric.layer_weights.tolist(), means, strict=True))


def test_agrees_with_a_plain_recomputation(metric: MLCLIPSim, scenes: Tensor) -> None:
    noisy = (scenes + 0.1 * torch.randn(scenes.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    with torch.no_grad():
        torch.testing.assert_close(metric(noisy, scenes), plain_similarity(metric, noisy, scenes), atol=2e-6, rtol=0)


def test_identical_images(metric: MLCLIPSim, scenes: Tensor) -> None:
    reconstruction = scenes.clone().requires_grad_()
    similarity = metric(reconstruction, scenes)
    similarity.sum().backward()
    assert similarity.tolist() == [1.0] * 4
    assert reconstruction.grad is not None and reconstruction.grad.isfinite().all()
    assert reconstruction.grad.abs().max() < 1e-6


def test_is_symmetric(metric: MLCLIPSim, scenes: Tensor) -> None:
    torch.testing.assert_close(metric(scenes[:2], scenes[2:]), metric(scenes[2:], scenes[:2]), atol=1e-6, rtol=0)


def blur(image: Tensor, strength: int) -> Tensor:
    kernel = torch.ones(3, 1, 2 * strength + 1, 2 * strength + 1) / (2 * strength + 1) ** 2
    return F.conv2d(F.pad(image, (strength,) * 4, mode="reflect"), kernel, groups=3)


def noise(image: Tensor, strength: int) -> Tensor:
    return (image + 0.05 * strength * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)


def jpeg(image: Tensor, strength: int) -> Tensor:
    decoded = []
    for one in image:
        file = io.BytesIO()
        pixels = (one * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "jpeg", quality=(80, 40, 20, 5)[strength - 1])
        decoded.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255)
    return torch.stack(decoded)


def downscale(image: Tensor, strength: int) -> Tensor:
    small = F.interpolate(image, scale_factor=1 / (strength + 1), mode="area")
    return F.interpolate(small, image.shape[-2:], mode="bilinear")


@pytest.mark.parametrize("distort", [blur, noise, jpeg, downscale])
def test_falls_as_the_distortion_grows(distort, metric: MLCLIPSim, scenes: Tensor) -> None:  # type: ignore[no-untyped-def]
    with torch.no_grad():
        values = [metric(distort(scenes, strength), scenes).mean().item() for strength in (1, 2, 3, 4)]
    assert 1 > values[0] > values[1] > values[2] > values[3]


def test_bf16_agrees_with_fp32_and_stays_below_one(metric: MLCLIPSim, scenes: Tensor) -> None:
    slightly = (scenes + 1e-3 * torch.randn(scenes.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    for reconstruction in (scenes, slightly, noise(scenes, 2)):
        with torch.no_grad():
            exact = metric(reconstruction, scenes)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = metric(reconstruction, scenes)
        assert rounded.dtype == torch.float32 and (rounded <= 1).all()
        torch.testing.assert_close(rounded, exact, atol=5e-3, rtol=0)


def test_is_stable_under_shifting_both(metric: MLCLIPSim, scenes: Tensor) -> None:
    distorted = noise(scenes, 2)
    with torch.no_grad():
        still = metric(distorted, scenes)
        for shift in (3, 8):
            moved = metric(distorted.roll((shift, shift), (2, 3)), scenes.roll((shift, shift), (2, 3)))
            torch.testing.assert_close(moved, still, atol=0.05, rtol=0)


def test_train_mode_shifts_but_keeps_the_encoder_frozen(scenes: Tensor) -> None:
    metric = MLCLIPSim.from_pretrained("demo").train()
    assert metric.training and not any(module.training for module in metric.backbone.modules())
    assert not any(parameter.requires_grad for parameter in metric.parameters())
    distorted = noise(scenes, 2)
    first, second = metric(distorted, scenes), metric(distorted, scenes)
    assert not torch.equal(first, second)
    torch.testing.assert_close(first.mean(), second.mean(), atol=0.1, rtol=0)
    assert metric(scenes, scenes).tolist() == [1.0] * 4  # both images move alike


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_gradient_against_finite_differences(kind: str) -> None:
    metric = MLCLIPSim(tiny_tower(kind)).double().eval()
    generator = torch.Generator().manual_seed(0)
    size = metric.backbone.input_px
    image = torch.rand(1, 3, size, size, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    noise = 0.05 * torch.randn(image.shape, generator=generator, dtype=torch.float64)
    reconstruction = (image + noise).clamp(0.02, 0.98).requires_grad_()
    metric.distance(reconstruction, image).sum().backward()
    assert reconstruction.grad is not None
    for _ in range(5):
        direction = torch.randn(image.shape, generator=generator, dtype=torch.float64) * 1e-5
        with torch.no_grad():
            up = metric.distance(reconstruction + direction, image)
            down = metric.distance(reconstruction - direction, image)
        slope = (reconstruction.grad * direction).sum()
        torch.testing.assert_close((up - down).sum() / 2, slope, rtol=1e-4, atol=1e-12)


def test_clamping_passes_only_gradients_that_lead_back_in() -> None:
    image = torch.tensor([-0.5, -0.5, 0.5, 1.5, 1.5], requires_grad=True)
    clamped = clamp_unit(image)
    assert clamped.tolist() == [0, 0, 0.5, 1, 1]
    clamped.backward(torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0]))
    assert image.grad is not None and image.grad.tolist() == [0, -1, 1, 1, 0]


@pytest.mark.parametrize("originals", [5, 1])
def test_gradient_of_the_cosine_is_autograds(originals: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 2, 7, 16, generator=generator), torch.randn(originals, 2, 7, 16, generator=generator)
    a[0, 0, 0], a[0, 0, 1] = b[0, 0, 0], 0
    found = []
    for has_gradient in (False, True):  # of the original; with it the gradients are autograd's
        ours, other = a.clone().requires_grad_(), b.clone().requires_grad_(has_gradient)
        distance = one_minus_cos(ours, other)
        distance[:, :, 2:].square().sum().backward()  # torch's gradient at 0 is of the order of 1e12
        assert ours.grad is not None
        found.append((distance.detach(), ours.grad))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)
    assert found[0][0][0, 0, 0] == 0


def test_a_pair_is_shifted_alike(scenes: Tensor) -> None:
    first, second = shift(scenes, -scenes, 32)
    assert torch.equal(first, -second) and not torch.equal(first, scenes)


def test_tiles_of_a_photograph_are_averaged(metric: MLCLIPSim) -> None:
    generator = torch.Generator().manual_seed(0)
    image = F.interpolate(torch.rand(1, 3, 64, 96, generator=generator), (512, 768), mode="bicubic").clamp(0, 1)
    distorted = noise(image, 1)
    with torch.no_grad():
        by_hand = [
            metric(distorted[..., y : y + 128, x : x + 128], image[..., y : y + 128, x : x + 128])
            for y in range(0, 512, 128)
            for x in range(0, 768, 128)
        ]
        torch.testing.assert_close(metric(distorted, image), torch.stack(by_hand).mean(0), atol=1e-6, rtol=0)


def test_tiles_cover_sides_that_are_no_multiple() -> None:
    image = torch.arange(200.0 * 150).reshape(1, 1, 200, 150)
    tiles = tile(image, 128)
    assert tiles.shape == (4, 1, 128, 128)
    assert set(tiles.flatten().tolist()) == set(image.flatten().tolist())


def test_small_images_are_mirrored_alike(metric: MLCLIPSim, scenes: Tensor) -> None:
    with torch.no_grad():
        assert metric(scenes[..., :50, :70], scenes[..., :50, :70]).tolist() == [1.0] * 4
        assert (metric(noise(scenes, 2)[..., :50, :70], scenes[..., :50, :70]) < 0.99).all()


def test_another_input_size_interpolates_positions(scenes: Tensor) -> None:
    metric = MLCLIPSim(tiny_tower(input_px=48))
    assert metric.backbone.reader.visual.positional_embedding.shape[0] == 1 + 6 * 6
    with torch.no_grad():
        near = metric(noise(scenes, 1), scenes).mean()
        assert metric(noise(scenes, 3), scenes).mean() < near < 1
    with pytest.raises(ValueError, match="multiple of the encoder's patch of 8 px"):
        tiny_tower(input_px=100)


def test_convolutions_take_any_input_size(metric: MLCLIPSim, scenes: Tensor) -> None:
    quarters = MLCLIPSim(load_backbone("demo", 64), *EMBEDDED["demo"][:2]).eval()
    assert quarters.backbone.input_px == 64
    with torch.no_grad():
        assert quarters(scenes, scenes).tolist() == [1.0] * 4
        whole, cut = (each(noise(scenes, 2), scenes) for each in (metric, quarters))
    assert 0 < (whole - cut).abs().max() < 0.05  # only borders differ
    with pytest.raises(ValueError, match="takes 64 px only"):
        MLCLIPSim(tiny_tower("resnet", 96))  # its attention pool has a position for each place
    MLCLIPSim(tiny_tower("resnet", 96), [0], [1, 0])


def test_resnet_towers_compare_their_stages() -> None:
    metric = MLCLIPSim(tiny_tower("resnet"))
    assert metric.backbone.num_layers == 5
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert metric(image, image).tolist() == [1.0, 1.0]
        assert (metric(noise(image, 2), image) < 1).all()


def test_weights_are_normalised_and_checked(scenes: Tensor) -> None:
    metric = MLCLIPSim.from_pretrained("demo", layers=[4], weights=[3, 1])
    assert metric.layer_weights.tolist() == [0.75, 0.25]
    for layers, weights in (([5], [1, 1]), ([0], [1]), ([0], [1, -1]), ([0], [0, 0])):
        with pytest.raises(ValueError, match=r"layers must be|weights must be"):
            MLCLIPSim.from_pretrained("demo", layers=layers, weights=weights)


def test_local_file_of_open_clip_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("RN50-quickgelu", pretrained=None)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    metric = MLCLIPSim.from_pretrained(f"open_clip:RN50-quickgelu/{tmp_path / 'weights.pt'}", [0, 1], [1, 1, 0])
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert metric(image, image).item() == 1.0 > metric(noise(image, 2), image).item()


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("open_clip:ViT-Z/openai", "encoder 'ViT-Z' is unknown to open_clip"),
        ("open_clip:ViT-B-16/nowhere.pt", "neither a file nor an open_clip tag"),
        ("open_clip:ViT-B-16/openai", "QuickGELU mismatch"),
        (PUBLISHED, r"weights 'openai' of ViT-B-16-quickgelu cannot be loaded.*work: photos \(an Im"),
        ("openai", "backbone 'openai' is unknown; expected demo, photos, open_clip:MODEL/TAG"),
    ],
)
def test_unknown_weights_are_one_line(backbone: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        MLCLIPSim.from_pretrained(backbone)
    assert "\n" not in str(caught.value)


def test_the_demo_encoder_is_the_default_on_demo_scenes_alone() -> None:
    assert with_backbones(MetricsConfig(), is_demo=True).mlclipsim.backbone == "demo"
    assert with_backbones(MetricsConfig(), is_demo=True).features.backbone == "demo"
    assert with_backbones(MetricsConfig(), is_demo=False).mlclipsim.backbone == PUBLISHED
    chosen = MetricsConfig(MLCLIPSimConfig("timm:a"), FeaturesConfig(backbone="timm:b"))
    assert all(with_backbones(chosen, is_demo) == chosen for is_demo in (True, False))
    with pytest.raises(ValueError, match="'openai' of ViT-B-16-quickgelu cannot be loaded"):  # there is no network
        build_distortion("mlclipsim", MetricsConfig())


def test_distortion_gradient_reaches_the_image(scenes: Tensor) -> None:
    for name in ("mse", "mlclipsim"):
        distortion = build_distortion(name, ON_DEMO).train()
        reconstruction = noise(scenes, 2).requires_grad_()
        value = distortion(reconstruction, scenes)
        assert value.shape == (4,) and (value > 0).all()
        value.sum().backward()
        assert reconstruction.grad is not None and reconstruction.grad.isfinite().all()
        assert reconstruction.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_originals_seen_once_serve_many(kind: str) -> None:
    metric = MLCLIPSim(tiny_tower(kind)).eval()
    side = metric.backbone.input_px
    original = torch.rand(1, 3, side + 8, 2 * side)
    distorted = (original + 0.2 * torch.rand(3, 3, side + 8, 2 * side)).clamp(0, 1)
    apart = torch.cat([metric.distance(each[None], original) for each in distorted]).detach()
    assert torch.allclose(metric.distance_to(distorted, metric.see(original)), apart, atol=1e-5)
    assert torch.allclose(metric.distance(distorted, original.expand_as(distorted)), apart, atol=1e-5)
    assert metric.distance_to(original, metric.see(original)).item() == 0


def test_no_block_is_run_that_no_weight_needs() -> None:
    """With the embedding, all of them, in one pass over both images; without, none after the last layer used."""
    tower = tiny_tower()
    num_images: list[list[int]] = []
    for block in tower.reader.visual.transformer.resblocks:  # type: ignore[union-attr]  # open_clip's ViT
        seen: list[int] = []
        block.register_forward_hook(lambda _module, inputs, _output, seen=seen: seen.append(len(inputs[0])))
        num_images.append(seen)
    image = torch.rand(2, 3, 32, 32)
    whole, early = MLCLIPSim(tower, [0], [1, 1]).eval(), MLCLIPSim(tower, [0], [1, 0]).eval()
    for seen in num_images:
        seen.clear()
    with torch.no_grad():
        whole(image, image.flip(-1))
    assert num_images == [[4], [4]]
    parts = plain_distance_of_first_layer(tower, image.flip(-1), image)
    with torch.no_grad():
        assert torch.allclose(early.distance(image.flip(-1), image), parts, atol=1e-6)
    assert num_images == [[4, 2, 2, 4], [4]]


def plain_distance_of_first_layer(tower: Backbone, a: Tensor, b: Tensor) -> Tensor:
    first = [tower(image, [0]).patches[0] for image in (a, b)]
    return 1 - F.cosine_similarity(*first, dim=-1).mean(1)


def test_layers_come_in_the_order_asked_for() -> None:
    for kind in ("vit", "resnet"):
        tower = tiny_tower(kind)
        image = torch.rand(1, 3, tower.input_px, tower.input_px)
        last, first = tower(image, [1, 0]).patches
        assert torch.equal(first, tower(image, [0], has_embedding=False).patches[0])
        assert torch.equal(last, tower(image, [1], has_embedding=False).patches[0])
        assert not torch.equal(first, last)


def test_fitted_weights_from_their_file(tmp_path: Path) -> None:
    content = {"pretrained": "demo", "encoder": "ViT-B-16", "input_px": None, "layers": [1, 3], "weights": [1, 2, 1]}
    path = tmp_path / "fitted.json"
    path.write_text(json.dumps({**content, "temperature": 0.1}))
    metric = build_mlclipsim(MLCLIPSimConfig(fitted=str(path)))
    assert metric.layers == [1, 3] and metric.layer_weights.tolist() == [0.25, 0.5, 0.25]
    with pytest.raises(ValueError, match="no fitted weights at"):
        build_mlclipsim(MLCLIPSimConfig(fitted=str(tmp_path / "none.json")))
    path.write_text("[]")
    with pytest.raises(ValueError, match="is not a file of"):
        build_mlclipsim(MLCLIPSimConfig(fitted=str(path)))


def test_photos_compares_its_first_four_layers_and_follows_quality() -> None:
    metric = MLCLIPSim.from_pretrained("photos")
    assert metric.layers == [0, 1, 2, 3] and not metric.has_embedding
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    distances = [metric.distance((image + sigma * noise).clamp(0, 1), image).item() for sigma in (0, 0.02, 0.1)]
    assert distances[0] < 1e-6 < distances[1] < distances[2]
