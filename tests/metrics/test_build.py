"""Metrics by name: their own direction and range, one reference for many images, and what is refused."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lic.distortions.fsim import fsim
from lic.distortions.gmsd import gmsd
from lic.distortions.ssim import ssim
from lic.distortions.vif import vif
from lic.images import quantise
from lic.metrics import build_metric, metric_card, ms_ssim, psnr_db
from lic.settings.names import MetricName
from tests.support import ON_DEMO, noise_image
from tests.untrained import write_trunk

OFFLINE: tuple[MetricName, ...] = ("psnr", "ssim", "ms-ssim", "fsim", "gmsd", "vif", "mlclipsim")


def pair() -> tuple[Tensor, Tensor]:
    """Return two distortions of one image, (2, 3, H, W), the second the worse, and the image, (1, 3, H, W)."""
    image = quantise(noise_image(0, 70, 90))
    noise = torch.randn(1, *image.shape[1:], generator=torch.Generator().manual_seed(0))
    return quantise(torch.cat([image + 0.02 * noise, image + 0.1 * noise])), image


@pytest.mark.parametrize("name", OFFLINE)
def test_direction_range_and_one_reference_for_many(name: MetricName) -> None:
    metric, (images, image) = build_metric(name, ON_DEMO), pair()
    card = metric.card
    assert card is metric_card(name) and card.reference == "full" and not metric.training
    assert not any(parameter.requires_grad for parameter in metric.parameters())
    with torch.no_grad():
        better, worse = metric(images, image).tolist()
        apart = [metric(one[None], image).item() for one in images]
        prepared = metric.measure(images, metric.prepare(image))
        best = metric(image, image).item()
    assert [better, worse] == prepared.tolist() == pytest.approx(apart, abs=2e-5)
    assert prepared.shape == (2,) and prepared.dtype == torch.float32
    ranked = sorted((best, better, worse), reverse=card.better == "higher")
    assert ranked == [best, better, worse] and len(set(ranked)) == 3
    assert all(card.lowest - 1e-6 <= value <= card.highest + 1e-6 for value in ranked)
    ideal = {"gmsd": 0.0, "psnr": 100.0}.get(name, 1.0)
    assert best == pytest.approx(ideal, abs=1e-6)


def test_metrics_are_the_functions_of_that_name() -> None:
    images, image = pair()
    functions = {"psnr": psnr_db, "ssim": ssim, "ms-ssim": ms_ssim, "fsim": fsim, "gmsd": gmsd, "vif": vif}
    for name, function in functions.items():
        assert torch.equal(build_metric(name, ON_DEMO)(images, image), function(images, image)), name


@pytest.mark.parametrize("name", OFFLINE)
def test_declared_differentiable_and_is(name: MetricName) -> None:
    metric, (images, image) = build_metric(name, ON_DEMO), pair()
    images.requires_grad_()
    metric(images, image).sum().backward()
    assert metric.card.is_differentiable
    assert images.grad is not None and images.grad.isfinite().all() and images.grad.abs().sum() > 0


def test_vif_of_more_contrast_exceeds_one() -> None:
    _, image = pair()
    low = image * 0.5 + 0.25
    assert build_metric("vif", ON_DEMO)(image, low).item() > 1
    assert metric_card("vif").highest == math.inf


def test_perceptual_metrics_on_untrained_trunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    write_trunk("alexnet"), write_trunk("vgg16")
    images, image = pair()
    for spec, title in (("lpips", "LPIPS"), ("lpips:vgg", "LPIPS (VGG16)"), ("dists", "DISTS")):
        metric = build_metric(spec, ON_DEMO)
        assert metric.title == title and metric.card.better == "lower"
        with torch.no_grad():
            better, worse = metric.measure(images, metric.prepare(image)).tolist()
            assert 0 <= metric(image, image).abs().item() < 1e-6 < better < worse < metric.card.highest


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("psnrr", "metric 'psnrr' is unknown; did you mean 'psnr'"),
        ("", "metric '' is unknown"),
        ("ssim:11", "metric 'ssim' takes no argument, got 'ssim:11'"),
        ("lpips:vgh", "trunk of lpips 'vgh' is unknown; did you mean 'vgg'"),
        ("mlclipsim:nowhere.json", "no fitted weights at nowhere.json"),
    ],
)
def test_wrong_names_are_one_line(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build_metric(spec, ON_DEMO)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OFFLINE)
def test_images_that_mean_nothing_are_refused(name: MetricName) -> None:
    metric, (images, image) = build_metric(name, ON_DEMO), pair()
    for first, second, message in (
        (images * 255, image * 255, "RGB in \\[0, 1\\], got torch.float32 in 0 .. 255"),
        ((images * 255).byte(), (image * 255).byte(), "got torch.uint8"),
        (images * 2 - 1, image * 2 - 1, "RGB in \\[0, 1\\]"),
        (images * math.nan, image, "RGB in \\[0, 1\\], got torch.float32 in nan .. nan"),
        (images[..., 1:], image, "of one size"),
        (images[:, :1], image[:, :1], "must be RGB"),
    ):
        with pytest.raises(ValueError, match=message):
            metric(first, second)
    with pytest.raises(ValueError, match="needs the reference"):
        metric(images)
