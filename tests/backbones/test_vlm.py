"""Vision-language models, tiny and random, loaded as the real ones are."""

import re
import sys
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from lic.backbones import vlm
from lic.backbones.networks import build_network
from lic.backbones.vlm import VisionLanguageModel, build_vlm
from tests.tiny_vlms import save_internvl, save_qwen, save_qwen3

CPU = torch.device("cpu")
QUESTIONS = ["Is there a star ?", "Is there a circle ?", "red", "A or B ?"]
IMAGES = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("vlms")
    return {"internvl": save_internvl(folder / "internvl"), "qwen": save_qwen(folder / "qwen")}


@pytest.fixture(scope="module", params=["internvl", "qwen"])
def model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> VisionLanguageModel:
    built = build_network(f"hf:{folders[request.param]}", None, CPU)
    assert isinstance(built, VisionLanguageModel)
    return built


def test_the_vision_tower_runs_once_and_changes_nothing(model: VisionLanguageModel) -> None:
    calls: list[int] = []
    tower = next(each for name, each in model.network.named_modules() if name in ("model.vision_tower", "model.visual"))
    handle = tower.register_forward_hook(lambda *_: calls.append(1))
    reader = model(IMAGES)[0]
    answers = reader(QUESTIONS) + reader(QUESTIONS[:2])
    assert len(calls) == 1 and len(set(answers)) >= 3
    asked = model.prepare([_picture(IMAGES[0])] * 4, QUESTIONS)
    own = model.network.generate(**asked)[:, asked["input_ids"].shape[1] :]
    handle.remove()
    plain = model.processor.batch_decode(own, skip_special_tokens=True)
    assert len(calls) == 2 and answers == [text.strip() for text in (*plain, *plain[:2])]
    assert model(IMAGES)[1](QUESTIONS) != answers[:4]


def test_a_tower_that_hands_on_more(tmp_path: Path) -> None:
    """Qwen3-VL's features of several layers cannot be given in place of the picture: it is looked at for each batch."""
    model = build_vlm(str(save_qwen3(tmp_path)), CPU)
    answers = model(IMAGES)[0](QUESTIONS)
    asked = model.prepare([_picture(IMAGES[0])] * 4, QUESTIONS)
    own = model.network.generate(**asked)[:, asked["input_ids"].shape[1] :]
    assert answers == [text.strip() for text in model.processor.batch_decode(own, skip_special_tokens=True)]
    assert not model.takes_features and model.particulars["image_of_640x480"].endswith("tokens")


def _picture(image: torch.Tensor) -> Image.Image:
    return Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())


def test_questions_are_asked_in_any_company(model: VisionLanguageModel) -> None:
    """Shorter ones are padded on the left; more than fit at once are asked in turns."""
    alone = [model(IMAGES)[0]([question])[0] for question in QUESTIONS]
    many = model(IMAGES)[0](QUESTIONS * 6)
    assert many == alone * 6


def test_answers_are_greedy(model: VisionLanguageModel) -> None:
    """Whatever the model's own settings say: these are saved with sampling and a penalty."""
    settings = model.network.generation_config
    assert not settings.do_sample and settings.repetition_penalty in (None, 1.0)
    assert model.particulars["generation"] == "greedy, at most 32 tokens"


def test_limits_are_set_and_on_record(folders: dict[str, Path]) -> None:
    internvl, qwen = (build_vlm(str(folder), CPU).particulars for folder in folders.values())
    assert internvl["image_of_640x480"] == "13 tiles, 52 tokens" and internvl["limits"]["max_patches"] == 12
    assert qwen["image_of_640x480"] == "image_grid_thw [1, 34, 46], 391 tokens"  # as Qwen2.5-VL's real processor does
    assert qwen["limits"]["size"] == {"shortest_edge": 200_704, "longest_edge": 1_003_520}
    for each in (internvl, qwen):
        assert each["transformers"] == transformers.__version__ and each["image_processor"].endswith("torchvision")


def test_other_limits_are_noticed(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """As harnesses that take six tiles differ from those that take twelve."""
    monkeypatch.setitem(vlm.LIMITS, "internvl", vlm.LIMITS["internvl"] | {"max_patches": 6})
    with pytest.raises(ValueError, match="an image of 640 x 480 px as 28 tokens, not 52: this transformers prepares"):
        build_vlm(str(folders["internvl"]), CPU)


def test_fingerprints_tell_weights_apart(folders: dict[str, Path], tmp_path: Path) -> None:
    same, other = build_vlm(str(folders["internvl"]), CPU), build_vlm(str(save_internvl(tmp_path / "internvl", 1)), CPU)
    assert build_vlm(str(folders["internvl"]), CPU).fingerprint == same.fingerprint != other.fingerprint


def test_too_little_memory_is_said_before_loading(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlm, "free_bytes", lambda device: 100_000)
    with pytest.raises(ValueError, match=r"needs about 0\.\d GB of memory in .*, and cpu has 0\.0 GB free; take a"):
        build_vlm(str(folders["qwen"]), CPU)
    assert (vlm.free_bytes(CPU) or 1) > 0


def test_a_model_without_pictures(tmp_path: Path) -> None:
    config = transformers.Qwen2Config(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                      num_attention_heads=2, num_key_value_heads=2)  # fmt: skip
    transformers.Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is of type qwen2, which takes no pictures .*choose one of"):
        build_vlm(str(tmp_path), CPU)


@pytest.mark.parametrize("lacking", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_folder_that_lacks_something(lacking: str, tmp_path: Path) -> None:
    (save_internvl(tmp_path) / lacking).unlink()
    said = rf"network 'hf:{re.escape(str(tmp_path))}' cannot be had: .*expected a folder with config\.json"
    with pytest.raises(ValueError, match=said) as info:
        build_vlm(str(tmp_path), CPU)
    assert "\n" not in str(info.value)


def test_half_of_the_weights(tmp_path: Path) -> None:
    """transformers would draw the others at random, and say so in a log that is not shown."""
    file = save_internvl(tmp_path) / "model.safetensors"
    weights = load_file(file)
    save_file(dict(list(weights.items())[: len(weights) // 2]), file, {"format": "pt"})
    with pytest.raises(ValueError, match=r"cannot be had: \d+ of its weights are missing or of another size, such as"):
        build_vlm(str(tmp_path), CPU)
    file.write_bytes(file.read_bytes()[:5000])  # a download that was cut
    with pytest.raises(ValueError, match="cannot be had: Error while deserializing header"):
        build_vlm(str(tmp_path), CPU)
    with pytest.raises(ValueError, match=r"model\.safetensors' is no folder; expected one with config\.json"):
        build_vlm(str(file), CPU)


def test_a_processor_without_a_chat_template(tmp_path: Path) -> None:
    (save_internvl(tmp_path) / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="cannot be had: its processor has no chat template"):
        build_vlm(str(tmp_path), CPU)


def test_the_hub_out_of_reach() -> None:
    with pytest.raises(ValueError, match=r"'hf:OpenGVLab/InternVL3-1B-hf' cannot be had: .*`hf download OpenGVLab"):
        build_network("hf:OpenGVLab/InternVL3-1B-hf", None, CPU)


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"needs transformers: pip install 'lic\[vlm\]'"):
        build_network("hf:OpenGVLab/InternVL3-1B-hf", None, CPU)


def test_weights_of_ones_own_are_a_folder() -> None:
    with pytest.raises(ValueError, match="hf:x holds its weights itself"):
        build_network("hf:x", "file.safetensors", CPU)
