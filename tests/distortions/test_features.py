"""The foundation-feature distance against the paper's formulas in NumPy and a computation with hooks."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lic.demo.networks import load_demo_clip
from lic.demo.scenes import draw_scene
from lic.distortions import FeatureDistortion, build_distortion, build_features
from lic.distortions.feature_distances import DIFFERENTIABLE, feature_distances
from lic.distortions.features import PRESETS, windows
from lic.images import read_image
from lic.metrics import build_metric
from lic.settings.metrics import FeaturesConfig, MetricsConfig
from lic.settings.names import FeatureDistance
from tests.support import ON_DEMO

REAL = os.environ.get("LIC_TEST_DATA")
ALL: tuple[FeatureDistance, ...] = ("cos", "l2", "swd", "wsd", "jsd", "skld")
Array = NDArray[np.float64]


def scenes(count: int = 3) -> Tensor:
    drawn = [torch.from_numpy(draw_scene("val", i).image).permute(2, 0, 1) for i in range(count)]
    return torch.stack(drawn).float() / 255


def noisy(image: Tensor, strength: float = 0.1) -> Tensor:
    return (image + strength * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def jpeg(image: Tensor, quality: int, folder: Path) -> Tensor:
    pixels = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(folder / "x.jpg", quality=quality)
    return read_image(folder / "x.jpg")


def features(num_layers: int = 12, num_tokens: int = 50, num_channels: int = 24) -> tuple[Tensor, Tensor]:
    """Two images' features, (K, L, C)."""
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(num_layers, num_tokens, num_channels, generator=generator, dtype=torch.float64)
    return one, one + 0.5 * torch.randn(one.shape, generator=generator, dtype=torch.float64)


def softmax(x: Array, axis: int) -> Array:
    raised = np.exp(x - x.max(axis, keepdims=True))
    return raised / raised.sum(axis, keepdims=True)


def rows(x: Array) -> Array:
    """The 64 rows of the paper's code: tokens and channels cut or padded to multiples of 8, then memory order."""
    num_tokens, num_channels = (round(side / 8) * 8 for side in x.shape[1:])
    x = x[:, : min(num_tokens, x.shape[1])]
    padding = ((0, 0), (0, num_tokens - x.shape[1]), (max(0, num_channels - x.shape[2]), 0))
    x = np.pad(x, padding)[:, :, max(0, x.shape[2] - num_channels) :]
    return x.reshape(8, 8, x.shape[0], -1).reshape(64, -1)


def transport(mass_a: Array, mass_b: Array) -> float:
    """Cost of moving one column's masses at 0 .. 63 by their quantiles, which end at the last place."""
    cumulated = [np.cumsum(mass) for mass in (mass_a, mass_b)]
    levels = np.sort(np.concatenate(cumulated))
    places = [np.clip(np.searchsorted(one, levels), 0, 63) for one in cumulated]
    return float(np.sum(np.diff(levels, prepend=0.0) * np.abs(places[0] - places[1])))


def by_hand(name: FeatureDistance, a: Array, b: Array) -> list[float]:
    """distances.py of abhijay9/ZS-IQA, formula by formula."""
    if name == "cos":
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        return list((1 - cosine).mean(1))
    if name == "l2":
        return [float(np.mean((x - y) ** 2)) for x, y in zip(a, b, strict=True)]
    if name == "swd":
        directions = torch.randn(len(a), len(a), generator=torch.Generator().manual_seed(0)).numpy().astype(float)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        x, y = (np.sort(directions @ one.reshape(len(one), -1), axis=1) for one in (a, b))
        return [float(((x - y) ** 2).mean(0).sum())]
    x, y = rows(a), rows(b)
    if name == "wsd":
        p, q = softmax(x, 1), softmax(y, 1)
        d = np.array([transport(p[:, i], q[:, i]) for i in range(p.shape[1])])
    else:
        p, q = softmax(x, 0) + 1e-10, softmax(y, 0) + 1e-10
        other = [(p + q) / 2] * 2 if name == "jsd" else [q, p]
        d = ((p * np.log(p / other[0])).sum(0) + (q * np.log(q / other[1])).sum(0)) / 2
    if name != "jsd":
        d = d + ((x - y) ** 2).sum(0) / (np.sqrt(np.exp(-1 / (d + 10))) * (d + 10) ** 2)
    return [float(np.log(d.mean() + 1) ** 0.25)]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("num_tokens", "num_channels"), [(50, 24), (45, 20), (64, 13)])
def test_distances_are_the_papers(name: FeatureDistance, num_tokens: int, num_channels: int) -> None:
    a, b = features(num_tokens=num_tokens, num_channels=num_channels)
    own = feature_distances(name, list(a), list(b))
    assert [one.item() for one in own] == pytest.approx(by_hand(name, a.numpy(), b.numpy()), rel=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_layers_of_different_shapes_are_taken_one_by_one(name: FeatureDistance) -> None:
    pairs = [features(1, 49, 16), features(1, 1, 5)]
    own = feature_distances(name, [a[0] for a, _ in pairs], [b[0] for _, b in pairs])
    alone = [feature_distances(name, [a[0]], [b[0]])[0] for a, b in pairs]
    assert len(own) == 2 and torch.equal(torch.stack(own), torch.stack(alone)) and (own[0] > 0).all()


def test_tokens_of_zeros_have_no_direction() -> None:
    a = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    (distance,) = feature_distances("cos", [a], [torch.tensor([[0.0, 0.0], [0.0, 0.0]])])
    distance.backward()
    assert distance.item() == pytest.approx(0.25)
    assert a.grad is not None and a.grad.isfinite().all() and a.grad.abs().max() < 10


def test_agrees_with_hooks_in_the_network() -> None:
    """zs-iqa on the demo CLIP: windows at 0, 100, 172 and 0, 72; stem and all stages, images as they are."""
    image = F.interpolate(scenes(1), (300, 200), mode="bilinear")
    other = noisy(image)
    metric = build_features(FeaturesConfig("zs-iqa", backbone="demo", stride_px=100))
    visual = load_demo_clip().visual
    found: list[Tensor] = []
    trunk = visual.trunk
    for stage in (trunk.act1, trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
        stage.register_forward_hook(lambda _module, _input, output: found.append(output))
    values = []
    with torch.no_grad():
        for top in (0, 100, 172):
            for left in (0, 72):
                found.clear()
                for page in (other, image):
                    visual(page[..., top : top + 128, left : left + 128])
                pairs = zip(found[:5], found[5:], strict=True)
                values.append(sum((1 - F.cosine_similarity(a, b, dim=1)).mean().item() for a, b in pairs))
        assert metric(other, image).item() == pytest.approx(np.mean(values), rel=1e-4)


def test_ours_is_normalised_without_class_token_and_a_mean() -> None:
    image = scenes(2)
    metric = build_features(FeaturesConfig(backbone="demo", layers=[4, 2]))
    visual = load_demo_clip().visual
    found: list[Tensor] = []
    for stage in (visual.trunk.layer2, visual.trunk.layer4):
        stage.register_forward_hook(lambda _module, _input, output: found.append(output.flatten(2)))
    mean, std = (torch.tensor(values)[:, None, None] for values in (visual.image_mean, visual.image_std))
    with torch.no_grad():
        for page in (noisy(image), image):
            visual((page - mean) / std)
        expected = [1 - F.cosine_similarity(a, b, dim=1).mean(1) for a, b in zip(found[:2], found[2:], strict=True)]
        torch.testing.assert_close(metric(noisy(image), image), (expected[0] + expected[1]) / 2, rtol=1e-4, atol=1e-6)


def test_presets_and_what_is_set_on_top() -> None:
    chosen = build_features(FeaturesConfig("zs-iqa", backbone="demo", class_token=False)).settings
    assert (chosen.normalise, chosen.class_token, chosen.reduction, chosen.stride_px) == (False, False, "sum", 200)
    assert PRESETS["zs-iqa"].backbone == "open_clip:ViT-B-32-quickgelu/openai" and PRESETS["zs-iqa"].layers is None
    chosen = build_features(FeaturesConfig(backbone="demo", distance="l2")).settings
    assert (chosen.distance, chosen.normalise, chosen.class_token, chosen.reduction) == ("l2", True, False, "mean")


def test_windows() -> None:
    rows_, columns = torch.meshgrid(torch.arange(500), torch.arange(224), indexing="ij")
    image = torch.stack([rows_, columns, rows_]).float()[None]
    assert windows(image, 224, 200)[:, 0, 0, 0].tolist() == [0, 200, 276]
    assert windows(image, 224, 500)[:, 0, 0, 0].tolist() == [0, 276]
    assert windows(image[..., :424, :], 224, 200)[:, 0, 0, 0].tolist() == [0, 200]
    both = windows(torch.cat([image, image + 1000]), 224, 224)
    assert both[:, 0, 0, 0].tolist() == [0, 224, 276, 1000, 1224, 1276]
    assert windows(image[..., :50, :60], 64, 64).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("name", ALL)
def test_identical_images_have_distance_zero(name: FeatureDistance) -> None:
    metric, image = build_features(FeaturesConfig(backbone="demo", distance=name)), scenes(2)
    with torch.no_grad():
        assert metric(image, image).tolist() == [0, 0]
        assert (metric(noisy(image), image) > 0).all()


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_finite(name: FeatureDistance) -> None:
    metric, image = build_features(FeaturesConfig(backbone="demo", distance=name)), scenes(1)
    assert metric.is_differentiable == (name in DIFFERENTIABLE)
    for start in [noisy(image), noisy(image, 1e-3), *([image] if metric.is_differentiable else [])]:
        reconstruction = start.clone().requires_grad_()
        metric(reconstruction, image).sum().backward()
        assert reconstruction.grad is not None and reconstruction.grad.isfinite().all()
        assert start is image or reconstruction.grad.abs().sum() > 0
        assert start is not image or reconstruction.grad.abs().max() < 1e-2


@pytest.mark.parametrize("name", ALL)
def test_one_reference_serves_all_its_distortions(name: FeatureDistance) -> None:
    image = F.interpolate(scenes(1), (150, 170), mode="bilinear")
    images = torch.cat([noisy(image, strength) for strength in (0.02, 0.1, 0.3)])
    metric = build_metric("features", MetricsConfig(features=FeaturesConfig(backbone="demo", distance=name)))
    with torch.no_grad():
        values = metric.measure(images, metric.prepare(image))
        alone = torch.cat([metric(one[None], image) for one in images])
    torch.testing.assert_close(values, alone, rtol=1e-4, atol=1e-6)
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("name", ALL)
def test_runs_where_its_weights_are(name: FeatureDistance) -> None:
    """On the device without memory, which refuses tensors of any other."""
    metric = build_features(FeaturesConfig(backbone="demo", distance=name)).to("meta")
    assert metric(scenes(2).to("meta"), scenes(2).to("meta")).device.type == "meta"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 300), (128, 128), (129, 90)])
def test_any_size(height: int, width: int) -> None:
    image = F.interpolate(scenes(1), (height, width), mode="bilinear")
    with torch.no_grad():
        for config in (FeaturesConfig(backbone="demo"), FeaturesConfig(backbone="demo", window_px=64, stride_px=50)):
            assert build_features(config)(1 - image, image).item() > 0


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_bf16_stays_near_and_never_negative(name: FeatureDistance) -> None:
    metric, image = build_features(FeaturesConfig(backbone="demo", distance=name)), scenes(2)
    with torch.no_grad():
        exact = metric(noisy(image), image)
        with torch.autocast("cpu", torch.bfloat16):
            rounded, same = metric(noisy(image), image), metric(image, image)
    assert rounded.dtype == torch.float32 and (same >= 0).all()
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=5e-3)


def test_as_a_training_loss() -> None:
    image = scenes(2)
    two_layers = MetricsConfig(features=FeaturesConfig(backbone="demo", layers=[1, 3]))
    distortion = build_distortion("features", two_layers).train()
    assert isinstance(distortion.metric, FeatureDistortion) and distortion.metric.layers == [1, 3]
    assert not any(parameter.requires_grad for parameter in distortion.parameters())
    by_sum = MetricsConfig(features=FeaturesConfig(backbone="demo", reduction="sum"))
    summed = build_distortion("features", by_sum).eval()
    with torch.no_grad():
        mean = build_distortion("features", ON_DEMO).eval()
        torch.testing.assert_close(summed.scale * summed(noisy(image), image), mean.scale * mean(noisy(image), image))
    reconstruction = (noisy(image) * 1.2 - 0.1).requires_grad_()
    torch.manual_seed(0)
    first, second = (distortion(reconstruction, image) for _ in range(2))
    assert not torch.equal(first, second)  # shifted by other offsets
    (first + second).sum().backward()
    assert reconstruction.grad is not None and reconstruction.grad.isfinite().all()
    with pytest.raises(ValueError, match="distance 'jsd' has no gradient at identical images; train on cos, l2 or swd"):
        build_distortion("features", MetricsConfig(features=FeaturesConfig(backbone="demo", distance="jsd")))


def test_as_a_metric() -> None:
    card = build_metric("features", ON_DEMO).card
    assert (card.reference, card.better, card.lowest, card.is_differentiable) == ("full", "lower", 0, True)
    wsd = build_metric("features", MetricsConfig(features=FeaturesConfig(backbone="demo", distance="wsd")))
    assert not wsd.card.is_differentiable
    assert build_metric("features:demo", ON_DEMO).title == "Features (demo)"
    with pytest.raises(ValueError, match="weights 'openai' of ViT-B-32-quickgelu cannot be loaded"):
        build_metric("features:zs-iqa", ON_DEMO)


@pytest.mark.skipif(not REAL, reason="LIC_TEST_DATA names the folder of photographs and networks")
@pytest.mark.parametrize("name", ["cos", "l2", "jsd"])
def test_stronger_jpeg_of_a_photograph_is_farther(name: FeatureDistance, tmp_path: Path) -> None:
    backbone = f"timm:{REAL}/networks/mobilenetv2_imagenet_a.timm.fp16.safetensors"
    metric = build_features(FeaturesConfig(backbone=backbone, distance=name))
    for photograph in ("kodim04.png", "kodim13.png"):
        image = read_image(Path(str(REAL)) / "kodak24" / photograph)[..., :448, :448]
        with torch.no_grad():
            seen = metric.see(image)
            values = [metric.distance_to(jpeg(image, quality, tmp_path), seen).item() for quality in (90, 50, 20, 5)]
        assert 0 < values[0] < values[1] < values[2] < values[3]
