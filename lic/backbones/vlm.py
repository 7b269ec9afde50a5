"""Vision-language models of the Hugging Face hub, or of a local folder, behind one way of asking.

    network = build_vlm("OpenGVLab/InternVL3-1B-hf", torch.device("cuda"))
    (reader,) = network(image)
    reader(["Is there a dog in the image?\nAnswer the question using a single word or phrase."])

Harnesses differ in what they hand over: JPEG copies, tiles or none, other pixel limits, sampling, penalties out of the
model's own settings. Here the picture is lossless RGB, limits and the image processor's backend are set while loading
and checked on an image of 640 x 480 px, answers are greedy, and all of it is on record (`particulars`). No code of the
hub's is run, and no pickle is opened.
"""

import dataclasses
import hashlib
import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from lic.backbones.description import Kind
from lic.device import pick_precision
from lic.settings import require

MAX_NEW_TOKENS = 32
"""A word or a phrase; what goes on after it is cut off."""
QUESTIONS_AT_ONCE = 18
"""As POPE asks of a picture."""
TEST_SIZE = (640, 480)
TILES_OF_TEST_SIZE = 13
"""Of InternVL's at most 12: four by three, and the whole picture."""
LIMITS: dict[str, dict[str, Any]] = {
    "internvl": {"crop_to_patches": True, "min_patches": 1, "max_patches": 12},  # as its processor says of itself
    "qwen2_5_vl": {"size": {"shortest_edge": 256 * 28 * 28, "longest_edge": 1280 * 28 * 28}},  # its model card's range
}
"""Of the image processor by the model's type, set while loading; others keep what is published with them."""


class Reader:
    """One picture as a vision-language model sees it: its vision tower runs once, whatever is asked of it.

    Args:
        model: who reads.
        picture: 8-bit RGB.
    """

    def __init__(self, model: "VisionLanguageModel", picture: Image.Image) -> None:
        self._model, self._picture = model, picture
        self._features: Any = None

    def __call__(self, questions: Sequence[str]) -> list[str]:
        """Return the answer to each question, without the spaces around it."""
        answers: list[str] = []
        for start in range(0, len(questions), QUESTIONS_AT_ONCE):
            answers += self._ask(questions[start : start + QUESTIONS_AT_ONCE])
        return answers

    @torch.no_grad()
    def _ask(self, questions: Sequence[str]) -> list[str]:
        owner = self._model
        inputs = owner.prepare([self._picture] * len(questions), questions)
        if owner.takes_features and self._features is None:
            self._features = owner.look(inputs, len(questions))
        if owner.takes_features:
            del inputs["pixel_values"]
            inputs["mm_encoder_outputs"] = {"image": _repeat(self._features, len(questions))}
        written = owner.network.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in owner.processor.batch_decode(written, skip_special_tokens=True)]


def _repeat(features: Any, times: int) -> Any:
    """Return one picture's features as those of so many: a tuple of each picture's, or tiles on end."""
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    many = features * times if isinstance(features, tuple) else features.repeat(times, *[1] * (features.ndim - 1))
    return BaseModelOutputWithPooling(pooler_output=many)


class VisionLanguageModel:
    """A frozen vision-language model; its fields are those of `lic.backbones.networks.Network`.

    Args:
        spec: the hub's name for it, or its folder.
        network: of transformers' classes, on its device.
        processor: of pictures and text.
    """

    kind: Kind = "vlm"
    classes: tuple[str, ...] | None = None

    def __init__(self, spec: str, network: Any, processor: Any) -> None:
        self.name = Path(spec).name
        self.network, self.processor = network.eval().requires_grad_(False), processor
        self.takes_features = "mm_encoder_outputs" in inspect.signature(network.forward).parameters
        """Whether the tower's output may be given in place of a picture, for as many questions as there are."""
        self.particulars = _particulars(spec, network, processor) | {"image_of_640x480": self._check()}
        self.fingerprint = weights_digest(network, repr(self.particulars))

    def __call__(self, image: Tensor) -> list[Reader]:
        """Return who reads each of (N, 3, H, W) images, RGB in [0, 1]."""
        pixels = (image.cpu().clamp(0, 1) * 255).round().byte()
        return [Reader(self, to_pil_image(one)) for one in pixels]

    def uncut(self, side_px: int) -> "VisionLanguageModel":
        """Return the model: it crops nothing."""
        return self

    def prepare(self, pictures: Sequence[Image.Image], questions: Sequence[str]) -> dict[str, Any]:
        """Return the model's inputs for a question to each picture."""
        contents = [[{"type": "image"}, {"type": "text", "text": question}] for question in questions]
        asked = [[{"role": "user", "content": content}] for content in contents]
        texts = [self.processor.apply_chat_template(each, add_generation_prompt=True) for each in asked]
        inputs = self.processor(images=list(pictures), text=texts, padding=True, return_tensors="pt")
        inputs = inputs.to(self.network.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.network.dtype)
        return dict(inputs)

    def look(self, inputs: dict[str, Any], times: int) -> Any:
        """Return what the vision tower makes of one picture, of inputs that hold it so many times.

        Models that hand on more than the last layer's features, as Qwen3-VL does, get the picture with every question.
        """
        keys = [key for key in inspect.signature(self.network.get_image_features).parameters if key in inputs]
        own = {key: inputs[key][: len(inputs[key]) // times] for key in keys}
        seen = self.network.get_image_features(**own, return_dict=True)
        self.takes_features = set(seen) <= {"last_hidden_state", "pooler_output", "hidden_states", "attentions"}
        return seen.pooler_output

    def _check(self) -> str:
        """Return how many tokens an image of 640 x 480 px takes, refusing what the limits do not give."""
        inputs = self.prepare([Image.new("RGB", TEST_SIZE)], ["?"])
        token = getattr(self.network.config, "image_token_id", -1)
        num_tokens = int((inputs["input_ids"] == token).sum())
        expected, shape = num_tokens, ""
        match self.network.config.model_type:
            case "internvl":
                expected, shape = TILES_OF_TEST_SIZE * self.processor.image_seq_length, f"{TILES_OF_TEST_SIZE} tiles, "
            case "qwen2_5_vl":
                rows, columns = _qwen_grid(self.processor.image_processor)
                expected, shape = rows * columns // 4, f"image_grid_thw {inputs['image_grid_thw'].tolist()[0]}, "
            case _ if token == -1:
                return "unknown"
        require(num_tokens == expected > 0, f"{self.name} reads an image of 640 x 480 px as {num_tokens} tokens, not "
                f"{expected}: this transformers prepares images in another way than lic knows of")
        return f"{shape}{num_tokens} tokens"


def _qwen_grid(images: Any) -> tuple[int, int]:
    """Return the rows and columns of patches of an image of 640 x 480 px (Qwen2-VL, https://arxiv.org/abs/2409.12191)."""
    side = images.patch_size * images.merge_size
    width, height = TEST_SIZE
    smallest, largest = images.size["shortest_edge"], images.size["longest_edge"]
    rows, columns = round(height / side), round(width / side)
    if not smallest <= rows * columns * side**2 <= largest:
        bound, cut = (smallest, math.ceil) if rows * columns * side**2 < smallest else (largest, math.floor)
        scale = math.sqrt(bound / (width * height))
        rows, columns = cut(height * scale / side), cut(width * scale / side)
    return rows * images.merge_size, columns * images.merge_size


def _particulars(spec: str, network: Any, processor: Any) -> dict[str, Any]:
    import transformers

    images = processor.image_processor
    names = ("size", "crop_to_patches", "min_patches", "max_patches", "resample", "image_mean", "image_std")
    return {
        "model": spec,
        "revision": getattr(network.config, "_commit_hash", None),
        "transformers": transformers.__version__,
        "dtype": str(network.dtype).removeprefix("torch."),
        "image_processor": f"{type(images).__name__}, torchvision",
        "limits": {name: _plain(getattr(images, name)) for name in names if getattr(images, name, None) is not None},
        "generation": f"greedy, at most {MAX_NEW_TOKENS} tokens",
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {key: each for key, each in vars(value).items() if each is not None}
    return list(value) if isinstance(value, tuple | list) else value


def weights_digest(network: torch.nn.Module, settings: str) -> str:
    """Return a SHA-256 of a network's weights, of any type, and of what else its answers depend on."""
    digest = hashlib.sha256(settings.encode())
    for key, value in network.state_dict().items():
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())  # numpy has no bfloat16
    return digest.hexdigest()


def build_vlm(spec: str, device: torch.device) -> VisionLanguageModel:
    """Return a model that reads pictures and answers in words.

    Args:
        spec: a name on the Hugging Face hub, or a folder with what is there: configuration, weights, processor.
        device: where it runs; in bf16 where that is fast.

    Raises:
        ValueError: in one line: transformers or weights are missing, it takes no pictures, or memory is too small.
    """
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"network 'hf:{spec}' needs transformers: pip install 'lic[vlm]'") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    dtype = torch.bfloat16 if pick_precision("auto", device).is_bf16 else torch.float32
    where = Path(spec).expanduser()
    require(where.is_dir() or not (where.exists() or spec.startswith(("/", ".", "~"))),
            f"network 'hf:{spec}' is no folder; expected one with config.json, *.safetensors and the processor's "
            "files, or a name on the hub")
    source: str = str(where) if where.is_dir() else spec
    with _in_one_line(spec):
        config = transformers.AutoConfig.from_pretrained(source)
    _check_memory(spec, config, dtype, device)
    with _in_one_line(spec):
        network, loading = transformers.AutoModelForImageTextToText.from_pretrained(
            source, dtype=dtype, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True
        )
        unfit = sorted(map(str, (*loading["missing_keys"], *loading["mismatched_keys"])))  # they are random now
        require(not unfit, f"{len(unfit)} of its weights are missing or of another size, such as {(unfit or [''])[0]}")
        processor = transformers.AutoProcessor.from_pretrained(source)
        require(getattr(processor, "chat_template", None) is not None, "its processor has no chat template")
        limits = LIMITS.get(config.model_type, {})
        processor.image_processor = transformers.AutoImageProcessor.from_pretrained(
            source, backend="torchvision", **limits
        )
    processor.tokenizer.padding_side = "left"  # answers follow at the right
    own = network.generation_config
    network.generation_config = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=MAX_NEW_TOKENS, eos_token_id=own.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
    )  # fmt: skip  # a published penalty of repetitions would forbid an answer that was in the question
    return VisionLanguageModel(source, network.to(device), processor)


def _check_memory(spec: str, config: Any, dtype: torch.dtype, device: torch.device) -> None:
    """Refuse, before anything is loaded, a model that is of another kind or larger than the memory that is free."""
    from transformers import AutoModelForImageTextToText

    try:
        with torch.device("meta"):
            skeleton = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"network 'hf:{spec}' is of type {config.model_type}, which takes no pictures or brings code "
                         "of its own, which is not run; choose one of AutoModelForImageTextToText's, such as "
                         "hf:OpenGVLab/InternVL3-1B-hf or hf:Qwen/Qwen2.5-VL-3B-Instruct") from error
    needed, free = sum(each.nbytes for each in skeleton.parameters()), free_bytes(device)
    require(free is None or 1.2 * needed < free,
            f"network 'hf:{spec}' needs about {1.2 * needed / 1e9:.1f} GB of memory in {dtype}, and {device} has "
            f"{(free or 0) / 1e9:.1f} GB free; take a smaller one, such as hf:OpenGVLab/InternVL3-1B-hf (2 GB in "
            "bfloat16), or another --device")


def free_bytes(device: torch.device) -> int | None:
    """Return how much memory of a device nobody uses; None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else None


@contextmanager
def _in_one_line(spec: str) -> Iterator[None]:
    """Say in a line what is missing of a model; transformers says it in many, by errors of many kinds."""
    try:
        yield
    except Exception as error:  # of damaged files: safetensors', tokenizers' and whatever transformers stumbles over
        cause = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".: ")
        advice = "or a name on the hub" if Path(spec).expanduser().is_dir() else (
            f"or a name on the hub: `hf download {spec}` fetches it where there is a network")
        raise ValueError(f"network 'hf:{spec}' cannot be had: {cause}; expected a folder with config.json, "
                         f"*.safetensors and the processor's files, {advice}") from error
