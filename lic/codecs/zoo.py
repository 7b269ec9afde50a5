"""CompressAI's published weights (https://interdigitalinc.github.io/CompressAI/zoo.html), by codec and quality."""

from pathlib import Path
from urllib.error import URLError

import torch
from compressai.zoo import image as zoo
from compressai.zoo.pretrained import load_pretrained

from lic.codecs.codec import Codec
from lic.settings import require


def zoo_quality(init: str | None) -> int | None:
    """Return the quality that `--init compressai:QUALITY` names; None for anything else.

    Raises:
        ValueError: no number follows.
    """
    if init is None or not init.startswith("compressai:"):
        return None
    quality = init.removeprefix("compressai:")
    require(quality.isdecimal(), f"--init compressai:QUALITY takes a number from 1, got '{quality}'")
    return int(quality)


def zoo_widths(name: str, quality: int) -> tuple[int, int]:
    """Return CompressAI's N and M of a quality.

    Raises:
        ValueError: its zoo has no such codec or quality.
    """
    require(name in zoo.model_urls, f"CompressAI publishes no weights of {name}; it does of: {', '.join(_published())}")
    qualities = zoo.cfgs[name]
    low, high = min(qualities), max(qualities)
    require(quality in qualities, f"CompressAI's {name} has the qualities {low} .. {high}, not {quality}")
    widths = qualities[quality]
    return widths[0], widths[-1]


def load_zoo_weights(codec: Codec, name: str, quality: int) -> None:
    """Fill a codec of the zoo's widths with its weights trained for mse, downloaded on first use.

    Raises:
        ValueError: they cannot be downloaded; the message says what to do.
    """
    url = zoo.model_urls[name]["mse"][quality]
    try:
        state = torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ValueError(
            f"the weights of {name} quality {quality} cannot be downloaded ({error}); put {url} into {folder}"
        ) from error
    codec.network.load_state_dict(load_pretrained(state))
    codec.build_tables()


def _published() -> list[str]:
    return sorted(zoo.model_urls)
