"""--distortion_scale: a number, or the JSON file that `python -m lic calibrate` wrote for the distortion."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from lic.distortions.card import Distortion
from lic.distortions.mlclipsim import EMBEDDED
from lic.settings import require
from lic.settings.metrics import MetricsConfig


def settings_of(distortion: Distortion, metrics: MetricsConfig) -> dict[str, Any]:
    """Return what a distortion's values depend on, and so its scale: its settings, a guest's file; empty if nothing."""
    own = getattr(metrics, distortion.name, None)
    settings = {} if own is None else dataclasses.asdict(own)
    return settings | ({"code_sha256": distortion.code_sha256} if distortion.code_sha256 else {})


def read_scale(value: float | str, distortion: Distortion, metrics: MetricsConfig) -> float:
    """Return the scale that a setting gives.

    Args:
        value: a number, or a path.
        distortion: whose.
        metrics: with the backbones named.

    Raises:
        ValueError: in one line: no such file, or one of another distortion or of other settings of it.
    """
    try:
        scale = float(value)
    except ValueError:
        scale = _from_file(Path(str(value)).expanduser(), distortion, metrics)
    require(0 < scale < math.inf, f"distortion_scale must be positive, got {scale:g}")
    return scale


def _from_file(path: Path, distortion: Distortion, metrics: MetricsConfig) -> float:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scale, of, there = float(content["scale"]), str(content["distortion"]), dict(content.get("metric", {}))
    except OSError as error:
        raise ValueError(f"distortion_scale {path}: {error.strerror}; it takes a number or a file of "
                         "`python -m lic calibrate`") from error  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not a file of `python -m lic calibrate`: {error!r}") from error
    require(of == distortion.name, f"{path} has the scale of {of}, not of {distortion.name}")
    asked = settings_of(distortion, metrics)
    differing = [f"{name} {there.get(name)}, not {value}" for name, value in asked.items() if there.get(name) != value]
    require(not differing, f"{path} has the scale of {of} with {'; '.join(differing)}")
    return scale


def is_calibrated(distortion: str, metrics: MetricsConfig) -> bool:
    """Return whether a scale of the house's was found for the settings of the distortion's backbone."""
    if distortion == "features":
        return metrics.features.backbone == "demo"
    own = metrics.mlclipsim
    return distortion != "mlclipsim" or (own.backbone in EMBEDDED and own.layers is None and own.weights is None)
