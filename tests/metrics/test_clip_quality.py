"""MA-CLIP and CLIP-IQA on small random towers against piq's own CLIP and the papers' formulas."""

import json
import re
from pathlib import Path

import numpy as np
import open_clip
import piq.feature_extractors.clip as piq_clip
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.metrics import Metric, build_metric
from lic.metrics.maclip import PAIRS, flatness, fused
from lic.settings.metrics import CLIPIQAConfig, MACLIPConfig, MetricsConfig

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
VISION = {
    "tiny-RN": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
    "tiny-ViT": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights of small CLIPs of open_clip, which it then knows by name; every weight matters."""
    folder = tmp_path_factory.mktemp("clip")
    weights = {}
    for name, vision in VISION.items():
        config = {"embed_dim": 32, "quick_gelu": True, "vision_cfg": vision, "text_cfg": TEXT}
        (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / f"{name}.json")
        torch.manual_seed(0)
        model = open_clip.create_model(name, load_weights=False)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        weights[name] = folder / f"{name}.pt"
        torch.save(model.state_dict(), weights[name])
    return weights


def piq_model(path: Path) -> nn.Module:
    state = torch.load(path, weights_only=True)
    model = piq_clip.build_model(dict(state)).float()
    model.load_state_dict(state)  # build_model rounds them to half precision
    return model


def metric(name: str, files: dict[str, Path], encoder: str = "tiny-RN") -> Metric:
    maclip = MACLIPConfig(pretrained=str(files[encoder]), encoder=encoder)
    clipiqa = CLIPIQAConfig(pretrained=str(files[encoder]), encoder=encoder)
    return build_metric(name, MetricsConfig(maclip=maclip, clipiqa=clipiqa))


def noise(height: int, width: int, count: int = 2) -> Tensor:
    coarse = torch.rand(count, 3, height // 8 + 1, width // 8 + 1, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def normalised(image: Tensor) -> Tensor:
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    return (image - mean) / torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


@torch.no_grad()
def cosines(model: nn.Module, prompts: list[str], image: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled cosines (N, prompts), and the embeddings, as piq's CLIP-IQA makes them."""
    features = model.encode_image(normalised(image), pos_embedding=False)
    text = model.encode_text(open_clip.tokenize(prompts))
    text, direction = (x / x.norm(dim=-1, keepdim=True) for x in (text, features))
    return model.logit_scale.exp() * direction @ text.T, features


@torch.no_grad()
@pytest.mark.parametrize("encoder", VISION)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (300, 70)])
def test_clipiqa_is_piqs(encoder: str, height: int, width: int, files: dict[str, Path]) -> None:
    image = noise(height, width)
    own = metric("clipiqa", files, encoder)
    logits, features = cosines(piq_model(files[encoder]), ["Good photo.", "Bad photo."], image)
    torch.testing.assert_close(own.clip(image), features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own(image), logits.softmax(-1)[:, 0], rtol=1e-4, atol=1e-5)
    assert 0 < own(image)[0] < 1 and own(image)[0] != own(image)[1]


def maclip_by_hand(model: nn.Module, prompts: list[str], image: Tensor) -> float:
    """The paper's formulas, power 1/2, in NumPy; windows by torch's own Unfold."""
    crops = nn.Unfold(224, stride=128)(image)[0].T.unflatten(1, (3, 224, 224))
    resized = F.interpolate(image, (224, 224), mode="bilinear", align_corners=False)
    logits, features = cosines(model, prompts, torch.cat([crops, resized]))
    values = []
    for row, embedding in zip(logits.double().numpy(), np.abs(features.double().numpy()), strict=True):
        pairs = np.exp(row.reshape(-1, 2))
        similarity = float(np.mean(pairs[:, 0] / pairs.sum(1)))
        size = embedding / (np.std(embedding, ddof=1) + 1e-6)
        magnitude = float(np.mean(((size + 1) ** 0.5 - 1) / 0.5))
        raised = np.exp([1.0 + (similarity - magnitude), 0.6 - (similarity - magnitude)])
        values.append(float(raised @ [similarity, magnitude] / raised.sum()))
    return float(np.mean(values))


@torch.no_grad()
@pytest.mark.parametrize(("variant", "encoder"), [("", "tiny-RN"), (":paper", "tiny-RN"), (":code", "tiny-ViT")])
def test_maclip_is_the_papers(variant: str, encoder: str, files: dict[str, Path]) -> None:
    own, model = metric(f"maclip{variant}", files, encoder), piq_model(files[encoder])
    prompts = [prompt for pair in PAIRS["paper" if variant == ":paper" else "code"] for prompt in pair]
    assert len(prompts) == (2 if variant == ":paper" else 10)
    image = noise(230, 500)
    expected = [maclip_by_hand(model, prompts, one[None]) for one in image]
    assert own(image).tolist() == pytest.approx(expected, rel=1e-4)
    assert own.title == ("MA-CLIP (paper)" if variant == ":paper" else "MA-CLIP")


@torch.no_grad()
def test_a_small_image_is_mirrored_up_to_a_crop(files: dict[str, Path]) -> None:
    own, model = metric("maclip", files), piq_model(files["tiny-RN"])
    prompts = [prompt for pair in PAIRS["code"] for prompt in pair]
    image = noise(150, 260, 1)
    mirrored = F.pad(image, (0, 0, 0, 74), mode="reflect")
    assert own(image).item() == pytest.approx(maclip_by_hand(model, prompts, mirrored), rel=1e-4)
    for height, width in ((1, 1), (5, 300)):
        for name in ("maclip", "clipiqa"):
            assert metric(name, files)(noise(height, width)).isfinite().all()


def test_the_magnitude_cue_does_not_see_magnitude() -> None:
    """The division by the deviation takes the features' scale out; what is left tells heavy tails from light ones."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4, 1024, generator=generator)
    for factor in (0.1, 10.0, 1000.0):
        torch.testing.assert_close(flatness(factor * features), flatness(features), rtol=1e-4, atol=0)
    heavy = features / torch.randn(3, 4, 1024, generator=generator).square().mean(0).sqrt()  # Student's t of 3 degrees
    assert (flatness(heavy) < 0.8 * flatness(features)).all()


def test_fusion_leans_to_the_higher_cue() -> None:
    similarity, magnitude = torch.tensor([0.5, 0.9, 0.1]), torch.tensor([0.5, 0.1, 0.9])
    weight = torch.sigmoid(torch.tensor([0.4, 2.0, -1.2]))  # of the difference of 1 + d and 0.6 - d
    torch.testing.assert_close(fused(similarity, magnitude), weight * similarity + (1 - weight) * magnitude)


@pytest.mark.parametrize("name", ["maclip", "clipiqa"])
def test_images_are_judged_alone_without_reference_and_with_gradient(name: str, files: dict[str, Path]) -> None:
    own = metric(name, files)
    assert own.card.reference == "none" and own.card.better == "higher" and own.prepare(noise(8, 8)) is None
    image = noise(240, 230, 3).requires_grad_()
    together = own(image)
    together.sum().backward()
    assert image.grad is not None and image.grad.isfinite().all() and (image.grad.abs().amax((1, 2, 3)) > 0).all()
    with torch.no_grad():
        alone = torch.cat([own(one[None]) for one in image])
    torch.testing.assert_close(together.detach(), alone, rtol=1e-4, atol=1e-5)
    own.train()
    assert not any(module.training for module in own.clip.modules())
    assert not any(parameter.requires_grad for parameter in own.parameters())
    assert not hasattr(own.clip, "transformer")  # the text tower is gone


@pytest.mark.parametrize("name", ["maclip", "clipiqa"])
def test_runs_where_its_weights_are(name: str, files: dict[str, Path]) -> None:
    """On the device without memory, which refuses tensors of any other."""
    values = metric(name, files).to("meta").measure(noise(300, 240).to("meta"), None)
    assert values.device.type == "meta" and values.shape == (2,)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("maclip", MACLIPConfig(), "408 MB as float32"),
        ("clipiqa", CLIPIQAConfig(), "https://huggingface.co/timm/resnet50_clip.openai"),
        ("maclip", MACLIPConfig(encoder="RN50"), "weights 'openai' are for the encoder RN50-quickgelu, not RN50"),
        ("maclip", MACLIPConfig(pretrained="demo"), "neither a file nor an open_clip tag of RN50-quickgelu"),
        ("maclip", MACLIPConfig(pretrained="pyproject.toml", encoder="tiny-RN"), "'pyproject.toml' of tiny-RN can"),
        ("clipiqa", CLIPIQAConfig(encoder="RN5"), "encoder 'RN5' is unknown to open_clip"),
        ("maclip:papr", MACLIPConfig(), "preset of maclip 'papr' is unknown; did you mean 'paper'?"),
    ],
)
def test_mistakes_are_one_line(
    name: str, config: MACLIPConfig | CLIPIQAConfig, message: str, files: dict[str, Path]
) -> None:
    settings = MetricsConfig(**{name.partition(":")[0]: config})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        build_metric(name, settings)
    assert "\n" not in str(caught.value)
