"""Where OpenAI's CLIP RN50 is, whose weights the no-reference metrics take."""

from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_CACHE

WEIGHTS = "an open_clip tag (OpenAI's RN50, 408 MB as float32), or a file"
_NAME, _FILE = "timm/resnet50_clip.openai", "open_clip_model.safetensors"


def locate() -> tuple[Path, str]:
    """Return its file in the hub's cache, or the cache where there is none, and where it comes from."""
    found = try_to_load_from_cache(_NAME, _FILE)
    path = Path(found) if isinstance(found, str) else Path(HF_HUB_CACHE) / _FILE
    return path, f"https://huggingface.co/{_NAME} (408 MB; hf download {_NAME} {_FILE})"
