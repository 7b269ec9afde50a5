"""LPIPS and DISTS on untrained trunks, read by the code that reads the published ones, against piq and the formula."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import piq
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from lic.distortions import DISTS, LPIPS, build_distortion
from lic.images import pad_at_least, quantise
from lic.settings.metrics import MetricsConfig
from tests.support import noise_image
from tests.untrained import write_trunk

FITTED = Path(str(files("torchmetrics.functional.image")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("torch")
        patch.setenv("TORCH_HOME", str(folder))
        write_trunk("alexnet"), write_trunk("vgg16")
        yield folder / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def networks(home: Path) -> dict[str, nn.Module]:
    return {"alex": LPIPS(), "vgg": LPIPS("vgg"), "dists": DISTS()}


def pair(height: int = 64, width: int = 80) -> tuple[Tensor, Tensor]:
    image = quantise(torch.cat([noise_image(seed, height, width) for seed in (0, 1)]))
    generator = torch.Generator().manual_seed(0)
    return quantise(image + 0.05 * torch.randn(image.shape, generator=generator)), image


def test_lpips_on_alexnet_is_the_papers_formula(networks: dict[str, nn.Module], home: Path) -> None:
    layers = models.alexnet(weights=models.AlexNet_Weights.DEFAULT).features.eval()
    linear = torch.load(FITTED / "lpips_models" / "alex.pth", map_location="cpu", weights_only=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    expected, features = torch.zeros(2), [(one - mean) / std for one in pair()]
    with torch.no_grad():
        for index, layer in enumerate(layers[:12]):
            features = [layer(one) for one in features]
            if index in (1, 4, 7, 9, 11):  # after each ReLU
                x, y = (one / (one.square().sum(1, keepdim=True) + 1e-8).sqrt() for one in features)
                weights = linear[f"lin{(1, 4, 7, 9, 11).index(index)}.model.1.weight"]
                expected += ((x - y).square() * weights).sum(1).mean((1, 2))
        torch.testing.assert_close(networks["alex"](*pair()), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a weight enum")
def test_piq_agrees(networks: dict[str, nn.Module], home: Path) -> None:
    linear = torch.load(FITTED / "lpips_models" / "vgg.pth", map_location="cpu", weights_only=True)
    torch.save([linear[f"lin{i}.model.1.weight"] for i in range(5)], home / "lpips_weights.pt")
    torch.save(torch.load(FITTED / "dists_models" / "weights.pt", weights_only=True), home / "dists_weights.pt")
    with torch.no_grad():
        for name, theirs in (("vgg", piq.LPIPS(reduction="none")), ("dists", piq.DISTS(reduction="none"))):
            torch.testing.assert_close(networks[name](*pair()), theirs(*pair()), atol=2e-6, rtol=1e-3)


@pytest.mark.parametrize("name", ["alex", "vgg", "dists"])
def test_identity_range_and_gradients(name: str, networks: dict[str, nn.Module]) -> None:
    network, (reconstruction, image) = networks[name], pair()
    for start, is_identity in ((reconstruction, False), (image, True), (3 * image - 1, False), (image * 0, False)):
        x = start.clone().requires_grad_()
        value = network(x, image)
        value.sum().backward()
        assert value.shape == (2,) and x.grad is not None and x.grad.isfinite().all()
        if is_identity:
            torch.testing.assert_close(value, torch.zeros(2), atol=1e-6, rtol=0)
        else:
            assert (value > 1e-4).all() and x.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["alex", "vgg", "dists"])
def test_one_reference_small_images_and_train_mode(name: str, networks: dict[str, nn.Module]) -> None:
    network, (_, image) = networks[name], pair()
    first = image[:1]
    with torch.no_grad():
        alone = torch.cat([network(one[None], first) for one in image])
        torch.testing.assert_close(network(image, first), alone, atol=1e-6, rtol=1e-4)
        assert torch.equal(network.train()(image, first), network.eval()(image, first))  # no dropout
        least_px = 31 if name == "alex" else 16
        for height, width in ((1, 1), (9, 40), (30, 31)):
            x, y = (one[..., :height, :width] for one in pair())
            mirrored = network(pad_at_least(x, least_px), pad_at_least(y, least_px))
            torch.testing.assert_close(network(x, y), mirrored)
            assert mirrored.isfinite().all()
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_autocast_does_not_round(networks: dict[str, nn.Module]) -> None:
    with torch.no_grad():
        exact = networks["alex"](*pair())
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(networks["alex"](*pair()), exact)


def test_distortions_of_that_name(networks: dict[str, nn.Module], home: Path) -> None:
    with torch.no_grad():
        for name, network in (("lpips", networks["alex"]), ("dists", networks["dists"])):
            distortion = build_distortion(name, MetricsConfig())  # type: ignore[arg-type]
            assert torch.equal(distortion(*pair()), network(*pair())) and distortion.metric is not None
