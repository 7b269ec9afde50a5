"""Random vision-language models of a few thousand weights, saved as the hub's are: configuration, processor, tokenizer.

They are loaded by the code that loads the real ones. What they say means nothing, but depends on picture and question.
"""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["Yes", "No", "yes", "no", ".", "A", "B", "C", "D", "red", "Is", "there", "a", "circle", "star", "?"]
CHAT = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %} {{ part['text'] }} {% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)

QWEN_CHAT = CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")


def save_internvl(folder: Path, seed: int = 0) -> Path:
    """Save an InternVL of 56 px tiles in 14 px patches, four tokens a tile."""
    special = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
               "video_token": "<video>"}  # fmt: skip
    tokenizer = _tokenizer(special)
    text = {"model_type": "qwen2", **_text(tokenizer), "max_position_embeddings": 4096}
    config = transformers.InternVLConfig(
        vision_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
                       "image_size": [56, 56], "patch_size": [14, 14]},
        text_config=text, image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4,
    )  # fmt: skip
    images = transformers.GotOcr2ImageProcessor(size={"height": 56, "width": 56})
    video = transformers.InternVLVideoProcessor(size={"height": 56, "width": 56})
    processor = transformers.InternVLProcessor(images, tokenizer, video, image_seq_length=4,
                                               chat_template=CHAT.replace("IMAGE", "<IMG_CONTEXT>"))  # fmt: skip
    return _save(folder, transformers.InternVLForConditionalGeneration, config, processor, seed)


def save_qwen(folder: Path, seed: int = 0) -> Path:
    """Save a Qwen2.5-VL, and in its generation_config the penalty that the real one's has."""
    tokenizer, ids, rope = _qwen()
    config = transformers.Qwen2_5_VLConfig(
        vision_config={"hidden_size": 32, "out_hidden_size": 32, "depth": 2, "num_heads": 2, "intermediate_size": 64,
                       "fullatt_block_indexes": [1], "window_size": 56},
        text_config={**_text(tokenizer), "max_position_embeddings": 8192, "rope_parameters": rope}, **ids,
    )  # fmt: skip
    images = transformers.Qwen2VLImageProcessor()
    processor = transformers.Qwen2_5_VLProcessor(images, tokenizer, transformers.Qwen2VLVideoProcessor(), QWEN_CHAT)
    return _save(folder, transformers.Qwen2_5_VLForConditionalGeneration, config, processor, seed)


def save_qwen3(folder: Path, seed: int = 0) -> Path:
    """Save a Qwen3-VL, whose tower hands on features of several layers."""
    tokenizer, ids, rope = _qwen()
    config = transformers.Qwen3VLConfig(
        vision_config={"hidden_size": 32, "out_hidden_size": 32, "depth": 2, "num_heads": 2, "intermediate_size": 64,
                       "deepstack_visual_indexes": [0], "num_position_embeddings": 64},
        text_config={**_text(tokenizer), "head_dim": 16, "max_position_embeddings": 8192, "rope_parameters": rope},
        **ids,
    )  # fmt: skip
    images = transformers.Qwen2VLImageProcessor(patch_size=16)
    processor = transformers.Qwen3VLProcessor(images, tokenizer, transformers.Qwen3VLVideoProcessor(), QWEN_CHAT)
    return _save(folder, transformers.Qwen3VLForConditionalGeneration, config, processor, seed)


def _qwen() -> tuple[transformers.PreTrainedTokenizerFast, dict[str, int], dict[str, object]]:
    tokenizer = _tokenizer({"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"})
    tokens = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>") for name, token in tokens.items()}
    return tokenizer, ids, {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}


def _tokenizer(special: dict[str, str]) -> transformers.PreTrainedTokenizerFast:
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", *special.values()]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*marks, "<unk>", *WORDS])}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token="<unk>",
        additional_special_tokens=marks[1:5], extra_special_tokens=special,
    )  # fmt: skip


def _text(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, int]:
    return {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "vocab_size": len(tokenizer)}  # fmt: skip


def _save(folder: Path, kind: type, config: object, processor: object, seed: int) -> Path:
    torch.manual_seed(seed)
    model = kind(config)
    for name, weight in model.named_parameters():
        if weight.ndim > 1:  # large enough for picture and question to change what is said
            torch.nn.init.normal_(weight, std=1.0 if "embed" in name else 0.3)
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, repetition_penalty=1.05, temperature=0.1, eos_token_id=2, pad_token_id=0
    )  # as Qwen2.5-VL's, for a greedy run to overcome
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
