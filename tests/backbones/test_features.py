"""Layers of foundation models against hooks put into the networks themselves."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from open_clip.model import CLIPVisionCfg
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models

from lic.backbones.features import Backbone, Source, load_backbone
from lic.backbones.layers import ClipLayers, TimmLayers, TorchvisionLayers
from lic.demo.networks import load_demo_clip
from lic.embedded import embedded
from lic.images import read_image

REAL = os.environ.get("LIC_TEST_DATA")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def hooked(network: nn.Module, modules: list[nn.Module], image: Tensor) -> list[Tensor]:
    """What modules of a network gave, class tokens first, feature maps as tokens."""
    found: list[Tensor] = []
    handles = [module.register_forward_hook(lambda _module, _input, output: found.append(output.clone()))
               for module in modules]  # fmt: skip
    with torch.no_grad():
        network.eval()(image)
    for handle in handles:
        handle.remove()
    return [one.flatten(2).transpose(1, 2) if one.dim() == 4 else one for one in found]


def assert_gives(
    backbone: Backbone, layers: list[int], image: Tensor, expected: list[Tensor], normalise: bool = False
) -> None:
    with torch.no_grad():
        found = backbone(image, layers, normalise=normalise)
    assert len(found.patches) == len(expected) and found.embedding is None
    for patches, extra, tokens in zip(found.patches, found.extra, expected, strict=True):
        torch.testing.assert_close(torch.cat([extra, patches], 1), tokens, rtol=1e-4, atol=1e-5)


def noise(size_px: int) -> Tensor:
    return torch.rand(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    torch.manual_seed(0)
    yield


def test_demo_gives_its_stages() -> None:
    backbone = load_backbone("demo")
    assert (backbone.num_layers, backbone.input_px) == (5, 128)
    visual, image = load_demo_clip().visual, noise(128)
    stages = [visual.trunk.layer1, visual.trunk.layer4]
    assert_gives(backbone, [1, 4], image, hooked(visual, stages, image))
    mean, std = (torch.tensor(v)[:, None, None] for v in (visual.image_mean, visual.image_std))
    assert_gives(backbone, [1, 4], image, hooked(visual, stages, (image - mean) / std), normalise=True)
    found = backbone(image, [1])
    assert found.patches[0].shape == (2, 1024, 64) and found.extra[0].shape == (2, 0, 64)


def test_photos_gives_the_stages_of_efficientnet_lite0() -> None:
    backbone = load_backbone("photos")
    assert (backbone.num_layers, backbone.input_px) == (5, 224)
    network = timm.create_model("tf_efficientnet_lite0")
    weights = load_file(embedded("checkpoints/photos/efficientnet_lite0.safetensors"))
    network.load_state_dict(weights)  # cast to fp32
    image = noise(224)
    stages = [network.get_submodule(place) for place in ("blocks.0", "blocks.6")]
    assert_gives(backbone, [0, 4], image, hooked(network, stages, (image - 0.5) / 0.5), normalise=True)


def test_clip_vit_gives_its_blocks_with_the_class_token_apart() -> None:
    vision = CLIPVisionCfg(layers=3, width=16, head_width=8, patch_size=8, image_size=32)
    text = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}
    visual, image = open_clip.CLIP(8, vision, text).visual, noise(32)
    backbone = Backbone(Source(ClipLayers(visual, 3), *IMAGENET, 32))
    blocks = [visual.transformer.resblocks[i] for i in (0, 2)]
    assert_gives(backbone, [0, 2], image, hooked(visual, blocks, image))
    found = backbone(image, [0])
    assert found.patches[0].shape == (2, 16, 16) and found.extra[0].shape == (2, 1, 16)


def test_clip_resnet_gives_stem_and_stages() -> None:
    vision = CLIPVisionCfg(layers=(1, 1, 1, 1), width=8, image_size=64)
    text = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}
    visual = open_clip.CLIP(8, vision, text).visual
    for parameter in visual.parameters():
        nn.init.normal_(parameter, std=0.2)  # open_clip starts residual branches at zero
    image = noise(64)
    for layers in ([0, 1, 2, 3, 4], [1, 3]):
        backbone = Backbone(Source(ClipLayers(visual, 5), *IMAGENET, 64))
        modules = [visual.avgpool, visual.layer1, visual.layer2, visual.layer3, visual.layer4]
        assert_gives(backbone, layers, image, hooked(visual, [modules[layer] for layer in layers], image))
    assert backbone.patch_px == 32


@pytest.mark.parametrize(
    ("name", "size_px", "places"),
    [
        ("vit_tiny_patch16_224", 64, ["blocks.0", "blocks.11"]),
        ("vit_small_patch14_reg4_dinov2", 56, ["blocks.0", "blocks.11"]),
        ("convnext_atto", 64, ["stages.0", "stages.3"]),
        ("mobilenetv2_035", 64, ["blocks.0", "blocks.6"]),
    ],
)
def test_timm(name: str, size_px: int, places: list[str]) -> None:
    network, image = timm.create_model(name), noise(size_px)
    reader = TimmLayers(network, size_px)
    last = len(reader(image, None)[0]) - 1
    backbone = Backbone(Source(reader, *IMAGENET, size_px))
    expected = hooked(network, [network.get_submodule(place) for place in places], image)
    assert_gives(backbone, [0, last], image, expected)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("resnet18", ["relu", "layer1", "layer2", "layer3", "layer4"]),
        ("squeezenet1_1", ["features.1", "features.4", "features.7", "features.12"]),
        ("mobilenet_v3_small", ["features.0", "features.1", "features.3", "features.8", "features.12"]),
    ],
)
def test_torchvision_gives_the_last_map_of_each_resolution(name: str, places: list[str]) -> None:
    network, image = models.get_model(name, weights=None).eval(), noise(96)
    reader = TorchvisionLayers(network, 224)
    assert reader.names == places
    backbone = Backbone(Source(reader, *IMAGENET, 96))
    expected = hooked(network, [network.get_submodule(places[layer]) for layer in (1, 3)], image)
    assert_gives(backbone, [1, 3], image, expected)


def test_torchvision_transformers_give_their_tokens_and_channels_last_maps() -> None:
    network = models.VisionTransformer(32, 8, 2, 2, 16, 32).eval()
    backbone = Backbone(Source(TorchvisionLayers(network, 32), *IMAGENET, 32))
    assert backbone.num_layers == 2 and backbone.patch_px == 8
    blocks = [network.encoder.layers.encoder_layer_0, network.encoder.layers.encoder_layer_1]
    assert_gives(backbone, [0, 1], noise(32), hooked(network, blocks, noise(32)))
    elsewhere = backbone.to("meta")(noise(32).to("meta"), [1])  # which refuses others' tensors
    assert elsewhere.extra[0].device.type == "meta"

    swin = models.SwinTransformer([4, 4], 8, [1, 1], [1, 1], [7, 7], stochastic_depth_prob=0.0).eval()
    backbone = Backbone(Source(TorchvisionLayers(swin, 64), *IMAGENET, 64))
    maps: list[Tensor] = []
    for stage in (swin.features[1], swin.features[3]):
        stage.register_forward_hook(lambda _module, _input, output: maps.append(output.flatten(1, 2)))
    with torch.no_grad():
        swin(noise(64))
    assert [tuple(one.shape) for one in maps] == [(2, 256, 8), (2, 64, 16)]
    assert_gives(backbone, [0, 1], noise(64), maps)


def test_local_files_are_loaded_behind_the_published_normalisation(tmp_path: Path) -> None:
    plain = models.squeezenet1_1()
    torch.save(plain.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone(f"torchvision:squeezenet1_1/{tmp_path / 'w.pth'}")
    mean, std = (torch.tensor(values)[:, None, None] for values in IMAGENET)
    image = noise(224)
    expected = hooked(plain, [plain.features[7]], (image - mean) / std)
    assert_gives(backbone, [2], image, expected, normalise=True)

    network = timm.create_model("test_vit")
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    backbone = load_backbone(f"timm:test_vit/{tmp_path / 'w.safetensors'}", 64)
    network.set_input_size(img_size=(64, 64))
    settings = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(settings[name])[:, None, None] for name in ("mean", "std"))
    expected = hooked(network, [network.blocks[0]], (noise(64) - mean) / std)
    assert_gives(backbone, [0], noise(64), expected, normalise=True)


def test_described_files_take_their_channels_and_scale(tmp_path: Path) -> None:
    network = timm.create_model("mobilenetv2_035")
    save_file(network.state_dict(), tmp_path / "n.safetensors")
    (tmp_path / "n.yaml").write_text("model: mobilenetv2_035\noutput: class logits\ninput_size: [96, 96]\n"
                                     "channels: bgr\nscale: 255\nmean: [104, 117, 123]\nstd: [58, 57, 57]\n")
    backbone = load_backbone(f"timm:{tmp_path / 'n.safetensors'}")
    assert backbone.input_px == 96
    mean, std = torch.tensor([104.0, 117, 123])[:, None, None], torch.tensor([58.0, 57, 57])[:, None, None]
    page = (noise(96) * 255 - mean) / std
    assert_gives(backbone, [0], noise(96), hooked(network, [network.blocks[0]], page.flip(1)), normalise=True)


@pytest.mark.skipif(not REAL, reason="LIC_TEST_DATA names the folder of photographs and networks")
def test_real_mobilenet_sees_photographs() -> None:
    backbone = load_backbone(f"timm:{REAL}/networks/mobilenetv2_imagenet_a.timm.fp16.safetensors")
    image = read_image(Path(str(REAL)) / "kodak24" / "kodim04.png")[..., :224, :224]
    assert [each.shape[1] for each in backbone(image, range(5)).patches] == [112**2, 56**2, 28**2, 14**2, 7**2]


def test_windows_that_are_too_small_are_one_line(tmp_path: Path) -> None:
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"this backbone takes no windows of 8 px: [^\n]+$"):
        load_backbone(f"torchvision:squeezenet1_1/{tmp_path / 'w.pth'}", input_px=8)


def test_stays_frozen_and_in_eval_mode() -> None:
    backbone = load_backbone("demo").train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    image = noise(128).requires_grad_()
    backbone(image, [2]).patches[0].square().sum().backward()
    assert image.grad is not None and image.grad.isfinite().all() and image.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dmo", "backbone 'dmo' is unknown; expected demo, photos, open_clip:MODEL/TAG, timm:NAME"),
        ("open_clip:ViT-B-32", "names no weights; expected open_clip:MODEL/TAG"),
        ("open_clip:ViT-B-32/openai", "are for the encoder ViT-B-32-quickgelu, not ViT-B-32"),
        ("open_clip:ViT-B-32-quickgelu/openai", "605 MB as float32"),
        ("timm:resnet5", "did you mean 'resnet50'?"),
        ("timm:test_vit", "for the backbone timm:test_vit/FILE, or into"),
        ("timm:absent.safetensors", "no weights at absent.safetensors"),
        ("timm:test_vit/absent.pth", "no weights at absent.pth"),
        ("torchvision:fcn_resnet50", "classifier of torchvision 'fcn_resnet50' is unknown"),
    ],
)
def test_mistakes_are_one_line(
    spec: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_backbone(spec)
    assert "\n" not in str(caught.value)
    assert not caplog.records


@pytest.mark.parametrize("layers", [[5], [-1, 2], []])
def test_layers_that_there_are_not(layers: list[int]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"layers must be in 0 .. 4 for this backbone, got {layers}")):
        load_backbone("demo").check_layers(layers)


def test_every_kind_gives_an_embedding() -> None:
    """CLIP's own projection; of others what their classifier would get."""
    image = noise(128)
    clip = load_backbone("demo")
    mean, std = clip.mean[:, None, None], clip.std[:, None, None]
    with torch.no_grad():
        own = load_demo_clip().visual.eval()((image - mean) / std)
        torch.testing.assert_close(clip(image, [0], True).embedding, own, rtol=1e-4, atol=1e-4)
        network = timm.create_model("mobilenetv2_035").eval()
        found = Backbone(Source(TimmLayers(network, 128), *IMAGENET, 128))(image, [1], True, normalise=False)
        expected = network.forward_head(network.forward_features(image), pre_logits=True)
        torch.testing.assert_close(found.embedding, expected)
        network = models.squeezenet1_1().eval()
        found = Backbone(Source(TorchvisionLayers(network, 128), *IMAGENET, 128))(image, [1], True, normalise=False)
        torch.testing.assert_close(found.embedding, network.features(image).mean((2, 3)))
