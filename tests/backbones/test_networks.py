"""torchvision's and timm's networks: answers equal to the libraries' own evaluation, and mistakes in one line."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

from lic.backbones.description import Kind
from lic.backbones.networks import build_network, demo_network
from lic.backbones.published import TorchNetwork
from lic.demo.drawing import draw_scene
from lic.images import quantise, read_image
from lic.tasks import CARDS
from tests.support import noise_image

CPU = torch.device("cpu")
REAL = os.environ.get("LIC_TEST_DATA")
IMAGENET = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def photographs() -> list[Tensor]:
    """An image larger than the networks' input, one smaller, one thin; with LIC_TEST_DATA photographs too."""
    noise = [noise_image(0, 300, 411), noise_image(1, 50, 70), noise_image(2, 333, 40)]
    images = [(image * 255).round() / 255 for image in noise]
    return images + [read_image(Path(REAL) / "kodak24" / name) for name in ("kodim01.png", "kodim04.png") if REAL]


def as_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray((image[0] * 255).round().byte().permute(1, 2, 0).numpy())


def preset(image: Tensor, resize_px: int, crop_px: int | None, method: Image.Resampling) -> Tensor:
    """torchvision's references/*/presets.py in Pillow and numpy: short side, centre crop, normalisation."""
    pillow = as_pillow(image)
    width, height = pillow.size
    short = min(width, height)
    width, height = int(resize_px * width / short), int(resize_px * height / short)
    pillow = pillow.resize((width, height), method)
    if crop_px is not None:
        left, top = round((width - crop_px) / 2), round((height - crop_px) / 2)
        pillow = pillow.crop((left, top, left + crop_px, top + crop_px))
    mean, std = IMAGENET
    page = torch.from_numpy(np.array(pillow)).float() / 255
    return ((page - mean) / std).permute(2, 0, 1)[None]


def randomly_initialised(network: nn.Module, path: Path) -> nn.Module:
    """The network in eval mode with batch statistics that matter, saved to the path."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    if path.suffix == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    return network.eval()


@torch.no_grad()
def test_classifier_answers_as_in_torchvisions_reference_evaluation(tmp_path: Path) -> None:
    plain = randomly_initialised(models.resnet18(), tmp_path / "w.pth")
    network = build_network("resnet18", str(tmp_path / "w.pth"), CPU)
    assert network.kind == "classification"
    assert network.classes is not None and network.classes[:2] == ("tench", "goldfish") and len(network.classes) == 1000
    for image in photographs():
        expected = plain(preset(image, 256, 224, Image.Resampling.BILINEAR))[0]
        torch.testing.assert_close(network(image)[0], expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_segmenter_answers_as_in_torchvisions_reference_evaluation(tmp_path: Path) -> None:
    plain = models.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None)
    randomly_initialised(plain, tmp_path / "w.pt")
    network = build_network("lraspp_mobilenet_v3_large", str(tmp_path / "w.pt"), CPU)
    assert network.kind == "semantic"
    assert network.classes is not None and network.classes[1] == "aeroplane" and len(network.classes) == 21
    for image in photographs()[:2]:
        logits = plain(preset(image, 520, None, Image.Resampling.BILINEAR))["out"]
        expected = nn.functional.interpolate(logits, image.shape[-2:], mode="bilinear").argmax(1)[0]
        answer = network(image)[0]
        assert answer.dtype == torch.uint8 and answer.shape == image.shape[-2:]
        assert (answer == expected).float().mean() > 0.9999


@torch.no_grad()
def test_detector_answers_as_torchvisions_own(tmp_path: Path) -> None:
    torch.manual_seed(1)
    name = "ssdlite320_mobilenet_v3_large"
    plain = randomly_initialised(models.get_model(name, weights=None, weights_backbone=None), tmp_path / "w.pth")
    network = build_network(name, str(tmp_path / "w.pth"), CPU)
    assert network.kind == "detection"
    assert network.classes is not None and network.classes[17] == "cat"
    batch = torch.cat([photographs()[0], photographs()[0].flip(3)])
    answers = network(batch)
    for answer, expected in zip(answers, plain(list(batch)), strict=True):
        assert set(answer) == {"boxes", "scores", "labels"} and len(answer["boxes"]) > 10
        for key, value in answer.items():
            torch.testing.assert_close(value, expected[key])


@torch.no_grad()
def test_instances_are_cut_at_one_half(tmp_path: Path) -> None:
    plain = models.detection.maskrcnn_resnet50_fpn(weights_backbone=None)
    plain.roi_heads.box_predictor.cls_score.bias[18] = 7  # every proposal is a dog
    torch.save({"model": plain.state_dict()}, tmp_path / "w.pth")
    before = torch.hub.get_dir()
    network = build_network("maskrcnn_resnet50_fpn", str(tmp_path / "w.pth"), CPU)
    assert torch.hub.get_dir() == before
    assert isinstance(network, TorchNetwork) and network.kind == "instances"
    inner: Any = network.network
    inner.roi_heads.detections_per_img, inner.transform.min_size = 5, (160,)  # quicker
    image = photographs()[1]
    answer, expected = network(image)[0], inner(list(image))[0]
    assert answer["labels"].tolist() == 5 * [18]
    assert answer["masks"].dtype == torch.bool and answer["masks"].shape == (5, *image.shape[-2:])
    assert torch.equal(answer["masks"], expected["masks"][:, 0] > 0.5)
    torch.testing.assert_close(answer["boxes"], expected["boxes"])


@torch.no_grad()
def test_local_weights_switch_what_published_ones_switch(tmp_path: Path) -> None:
    """RetinaNet's published weights were trained with eps 0, GoogLeNet's with another normalisation."""
    torch.save(models.detection.retinanet_resnet50_fpn(weights_backbone=None).state_dict(), tmp_path / "r.pth")
    network = build_network("retinanet_resnet50_fpn", str(tmp_path / "r.pth"), CPU)
    assert isinstance(network, TorchNetwork)
    assert {one.eps for one in network.network.modules() if isinstance(one, FrozenBatchNorm2d)} == {0.0}

    plain = randomly_initialised(models.googlenet(init_weights=False, aux_logits=True), tmp_path / "g.pth")
    network = build_network("googlenet", str(tmp_path / "g.pth"), CPU)
    image = photographs()[1]
    plain.transform_input = True
    page = preset(image, 256, 224, Image.Resampling.BILINEAR)
    torch.testing.assert_close(network(image)[0], plain(page)[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_timm_answers_as_in_its_own_evaluation(tmp_path: Path) -> None:
    plain = randomly_initialised(timm.create_model("mobilenetv2_035"), tmp_path / "w.safetensors")
    network = build_network("mobilenetv2_035", str(tmp_path / "w.safetensors"), CPU)
    for image in photographs():
        expected = plain(preset(image, 256, 224, Image.Resampling.BICUBIC))[0]
        torch.testing.assert_close(network(image)[0], expected, rtol=1e-5, atol=1e-5)
    state = load_file(tmp_path / "w.safetensors")
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(halves, tmp_path / "h.safetensors")
    (tmp_path / "h.yaml").write_text(
        "model: mobilenetv2_035\noutput: class logits\ninput_size: [224, 224]\nfit: crop\nresize_px: 256\n"
        "interpolation: bicubic\nmean: [0.485, 0.456, 0.406]\nstd: [0.229, 0.224, 0.225]\n")
    described = build_network(f"timm:{tmp_path / 'h.safetensors'}", None, CPU)
    image = photographs()[0]
    assert described(image)[0].dtype == torch.float32
    torch.testing.assert_close(described(image)[0], network(image)[0], rtol=0.05, atol=0.01)
    (tmp_path / "h.yaml").write_text((tmp_path / "h.yaml").read_text() + "options: {pad_type: same}\n")
    padded = build_network(f"timm:{tmp_path / 'h.safetensors'}", None, CPU)
    assert (padded(image)[0] - network(image)[0]).abs().max() > 0.05


def test_timm_in_front_forces_timms_network(tmp_path: Path) -> None:
    randomly_initialised(timm.create_model("resnet18"), tmp_path / "w.pth")
    ours, theirs = (build_network(spec, str(tmp_path / "w.pth"), CPU) for spec in ("resnet18", "timm:resnet18"))
    image = photographs()[0]
    assert ours.fingerprint != theirs.fingerprint
    assert not torch.equal(ours(image)[0], theirs(image)[0])  # same weights, another resize


def test_fingerprint_changes_with_the_weights_only(tmp_path: Path) -> None:
    plain = randomly_initialised(models.squeezenet1_1(), tmp_path / "a.pth")
    first, again = (build_network("squeezenet1_1", str(tmp_path / "a.pth"), CPU).fingerprint for _ in range(2))
    with torch.no_grad():
        next(plain.parameters())[0, 0, 0, 0] += 1e-3
    torch.save(plain.state_dict(), tmp_path / "b.pth")
    assert first == again != build_network("squeezenet1_1", str(tmp_path / "b.pth"), CPU).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", first)


def test_defaults_are_networks_of_their_kind() -> None:
    modules = {"classification": models, "semantic": models.segmentation}
    for verdict in (verdict for card in CARDS for verdict in card.verdicts):
        if verdict.kind == "vlm":
            assert verdict.network.startswith("hf:")
            continue
        assert verdict.network in models.list_models(module=modules.get(str(verdict.kind), models.detection))


@pytest.mark.parametrize(
    ("spec", "weights", "message"),
    [
        ("resnt50", None, "network 'resnt50' is unknown; did you mean 'resnet50'?"),
        ("timm:mobilenet_v2_100", None, "did you mean 'mobilenetv2_100'?"),
        ("keypointrcnn_resnet50_fpn", None, "answers no task here"),
        ("r3d_18", None, "answers no task here"),
        ("raft_small", None, "answers no task here"),
        ("quantized_resnet18", None, "answers no task here"),
        ("squeezenet1_1", "absent.pth", "no weights at absent.pth"),
        ("onnx:absent.onnx", None, "no ONNX file at absent.onnx"),
        ("onnx:absent.onnx", "w.pth", "holds its weights itself"),
        ("timm:absent.safetensors", None, "no weights at absent.safetensors"),
        ("demo:vgg", None, "network of the demo scenes 'vgg' is unknown"),
        ("demo:vitt", None, "did you mean 'vit'?"),
        ("demo:vit", "w.pth", "holds its weights itself"),
        ("squeezenet1_1", "wrong.pth", "wrong.pth do not fit squeezenet1_1"),
        ("mobilenetv2_035", "wrong.pth", "wrong.pth do not fit mobilenetv2_035"),
        ("squeezenet1_1", "evil.pth", "no weights that can be read safely"),
        ("squeezenet1_1", "text.safetensors", "no weights that can be read safely"),
        ("squeezenet1_1", "list.pth", "holds no tensors by name"),
        ("timm:wrong.safetensors", None, "no wrong.yaml beside"),
    ],
)
def test_mistakes_are_one_line(
    spec: str, weights: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"fc.weight": torch.zeros(3, 3)}, "wrong.pth")
    save_file({"fc.weight": torch.zeros(3, 3)}, "wrong.safetensors")
    torch.save(models.squeezenet1_1(), "evil.pth")  # a pickled object, not tensors
    torch.save([1], "list.pth")
    Path("text.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        build_network(spec, weights, CPU)
    assert "\n" not in str(caught.value)


def test_weights_that_cannot_be_downloaded_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing answers there
    published = r"https://download\.pytorch\.org/models/resnet50-\w+\.pth .*BSD-3"
    with pytest.raises(ValueError, match=published) as caught:
        build_network("resnet50", None, CPU)
    assert str(tmp_path / "hub" / "checkpoints") in str(caught.value)
    assert "onnx:FILE" in str(caught.value) and "\n" not in str(caught.value)
    published = r"https://huggingface\.co/timm/mobilenetv2_050.* \(licence apache-2\.0\)"
    with pytest.raises(ValueError, match=published) as caught:
        build_network("mobilenetv2_050", None, CPU)
    assert "\n" not in str(caught.value)


def demo_scenes(count: int) -> Tensor:
    drawn = [draw_scene("val", index).image for index in range(count)]
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in drawn]).float() / 255


def test_demo_networks_answer_in_the_same_form() -> None:
    scenes = demo_scenes(4)
    kinds: list[Kind] = ["classification", "detection", "instances", "semantic"]
    logits, found, instances, classes = (demo_network(kind, CPU)(scenes) for kind in kinds)
    assert [tuple(one.shape) for one in logits] == 4 * [(10,)]
    assert all(one.shape == (128, 128) and one.dtype == torch.uint8 for one in classes)
    assert sum(len(one["boxes"]) for one in found) > 0
    for one, box, semantic in zip(instances, found, classes, strict=True):
        assert torch.equal(one["boxes"], box["boxes"])
        for mask, label, (left, top, right, bottom) in zip(one["masks"], one["labels"], one["boxes"], strict=True):
            assert (semantic[mask] == label).all()
            rows, columns = mask.nonzero().T
            if len(rows):
                assert rows.min() + 1 > top and rows.max() < bottom
                assert columns.min() + 1 > left and columns.max() < right
    assert any(one["masks"].any() for one in instances)


@pytest.mark.parametrize(("name", "line"), [
    ("resnet18.nonsense", "tag of weights of resnet18: 'nonsense' is unknown"),
    ("timm:resnet18.a1_in2k", "tag of weights of resnet18: 'a1_in2k' is unknown; did you mean 'a1_in1k'?"),
    ("hf-hub:timm/resnet18.a1_in1k", "taken by timm's name, such as resnet18.a1_in1k"),
    ("hf_hub:timm/resnet18.a1_in1k", "taken by timm's name, such as resnet18.a1_in1k"),
])  # fmt: skip
def test_names_of_timm_that_lead_nowhere(name: str, line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        build_network(name, None, torch.device("cpu"))


@torch.no_grad()
def test_uncut_pictures_are_normalised_and_nothing_else(tmp_path: Path) -> None:
    """torchvision's, timm's and a file of timm's, on a square that they would otherwise resize and crop."""
    torch.manual_seed(0)
    image = quantise(torch.rand(1, 3, 96, 96))
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    plain = randomly_initialised(models.resnet18(), tmp_path / "w.pth")
    network = build_network("resnet18", str(tmp_path / "w.pth"), CPU)
    uncut = network.uncut(96)
    torch.testing.assert_close(uncut(image)[0], plain((image - mean) / std)[0], rtol=1e-5, atol=1e-5)
    assert uncut.fingerprint != network.fingerprint and not torch.allclose(network(image)[0], uncut(image)[0])

    small = timm.create_model("test_resnet.r160_in1k", pretrained=False)
    save_file(small.state_dict(), tmp_path / "w.safetensors")
    published = build_network("test_resnet", str(tmp_path / "w.safetensors"), CPU).uncut(96)
    settings = timm.data.resolve_model_data_config(small)
    mean, std = (torch.tensor(settings[key])[:, None, None] for key in ("mean", "std"))
    expected = small.eval()((image - mean) / std)[0]
    torch.testing.assert_close(published(image)[0], expected, rtol=1e-5, atol=1e-5)

    description = {"output": "class logits", "input_size": [64, 64], "fit": "crop", "resize_px": 72,
                   "model": "test_resnet", "mean": settings["mean"], "std": settings["std"]}  # fmt: skip
    lines = [f"{key}: {list(value) if isinstance(value, tuple) else value}" for key, value in description.items()]
    (tmp_path / "w.yaml").write_text("\n".join(lines))
    own = build_network(f"timm:{tmp_path / 'w.safetensors'}", None, CPU).uncut(96)
    torch.testing.assert_close(own(image)[0], expected, rtol=1e-5, atol=1e-5)

    demo = demo_network("classification", CPU)
    assert torch.equal(demo.uncut(96)(image)[0], demo(image)[0]), "which never cuts"
    vit = timm.create_model("deit_tiny_patch16_224", pretrained=False)
    save_file(vit.state_dict(), tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match="deit_tiny_patch16_224 takes no pictures of 96 x 96 as they are: ") as error:
        build_network("deit_tiny_patch16_224", str(tmp_path / "v.safetensors"), CPU).uncut(96)
    assert "\n" not in str(error.value)
