"""Folded batch norms change no feature, and are gone."""

from typing import Any

import open_clip
import pytest
import torch
import torchvision
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from torch import Tensor, nn

from lic.backbones.features import clip_backbone
from lic.backbones.folding import fold_batch_norms
from lic.demo.networks import load_demo_clip


def modified_resnet() -> nn.Module:
    return _build_vision_tower(32, CLIPVisionCfg(layers=(1, 1, 1, 1), width=16, head_width=16, image_size=64))


def randomise(network: nn.Module) -> nn.Module:
    """Give the batch norms statistics that a training might leave."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("build", [modified_resnet, lambda: load_demo_clip().visual])
def test_towers(build: Any) -> None:
    visual, size = randomise(build()), 64 if build is modified_resnet else 128
    image = torch.rand(2, 3, size, size)
    expected, gradient = features(visual, (image - 0.45) / 0.25)
    tower = clip_backbone(visual)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in tower.modules())
    ours, our_gradient = features(visual, (image - 0.45) / 0.25)
    for a, b in zip([*expected, gradient], [*ours, our_gradient], strict=True):
        assert (a - b).norm() < 1e-5 * a.norm()


def features(visual: Any, image: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the layers and the embedding, and the gradient of their squares."""
    image = image.clone().requires_grad_()
    output = visual.forward_intermediates(image)
    found = [*output["image_intermediates"], output["image_features"]]
    sum(each.square().mean() for each in found).backward()
    return [each.detach() for each in found], image.grad


def test_what_is_not_behind_a_convolution_stays() -> None:
    """DenseNet norms before it convolves: only what follows a convolution directly may be folded."""
    network = randomise(torchvision.models.densenet121())
    image = torch.rand(1, 3, 64, 64)
    expected, num_norms = network(image), num_batch_norms(network)
    fold_batch_norms(network, lambda: network(image))
    assert torch.allclose(network(image), expected, rtol=1e-4, atol=1e-4)
    assert 0 < num_batch_norms(network) < num_norms


def num_batch_norms(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def test_vision_transformers_are_left_alone() -> None:
    visual = open_clip.create_model("ViT-B-32", load_weights=False).visual
    names = list(visual.state_dict())
    assert list(clip_backbone(visual).reader.visual.state_dict()) == names
