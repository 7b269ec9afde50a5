"""ML-CLIPSim's weights as `python -m lic preferences fit` finds them: a JSON file.

    {"backbone": "demo", "input_px": null, "layers": [0, 1, ...], "weights": [...],
     "temperature": 0.01, "made_from": {...}}
"""

import dataclasses
import json
from pathlib import Path

from lic.settings.metrics import MLCLIPSimConfig

KEYS = ("backbone", "input_px", "layers", "weights")


def read_fitted(config: MLCLIPSimConfig) -> MLCLIPSimConfig:
    """Return the settings with backbone, layers and weights from their file `fitted`.

    Raises:
        ValueError: in one line: no such file, not such a file.
    """
    path = Path(str(config.fitted)).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "pretrained" in content:  # files of before 2026-11-27
            is_demo = content["pretrained"] == "demo"
            content["backbone"] = "demo" if is_demo else f"open_clip:{content['encoder']}/{content['pretrained']}"
        chosen = {key: content[key] for key in KEYS}
    except OSError as error:
        how = "python -m lic preferences fit makes them"
        raise ValueError(f"no fitted weights at {path}: {error.strerror}; {how}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a file of `python -m lic preferences fit`: {error!r}") from error
    return dataclasses.replace(config, **chosen, fitted=None)
