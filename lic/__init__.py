"""Learned image compression for machines: train with ML-CLIPSim, judge by rate-task curves."""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

# compressai 1.2.8 calls torch.jit.script, which torch >= 2.12 announces the end of; nothing a user could do about
warnings.filterwarnings("ignore", ".torch.jit.script. is deprecated", FutureWarning)

if TYPE_CHECKING:
    from lic.bitstream import decode, encode
    from lic.codecs import Codec, build_codec, load_codec
    from lic.distortions import MLCLIPSim
    from lic.evaluation.run import evaluate
    from lic.training.run import train

__all__ = ["Codec", "MLCLIPSim", "build_codec", "decode", "encode", "evaluate", "load_codec", "train"]

_HOME = {
    "Codec": "lic.codecs",
    "MLCLIPSim": "lic.distortions",
    "build_codec": "lic.codecs",
    "decode": "lic.bitstream",
    "encode": "lic.bitstream",
    "evaluate": "lic.evaluation.run",
    "load_codec": "lic.codecs",
    "train": "lic.training.run",
}


def __getattr__(name: str) -> Any:
    """Import what a notebook needs when it is first used, so that `import lic` does not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'lic' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
