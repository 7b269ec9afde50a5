"""ML-CLIPSim of `lic.distortions` as a metric; higher is better."""

import dataclasses
from pathlib import Path

from torch import Tensor

from lic.demo.networks import demo_folder
from lic.distortions import MLCLIPSim, build_mlclipsim
from lic.distortions.mlclipsim import Seen
from lic.metrics.compared import required
from lic.metrics.metric import Metric, MetricCard
from lic.settings.metrics import MetricsConfig


class Similarity(Metric):
    """ML-CLIPSim of images and their references, (N,), 1 = identical; see lic/distortions/mlclipsim.py."""

    def __init__(self, similarity: MLCLIPSim, fitted: str) -> None:
        super().__init__(CARD, f"{CARD.title} ({Path(fitted).stem})" if fitted else None)
        self.similarity = similarity

    def prepare(self, reference: Tensor | None) -> Seen:
        """Return the references' features."""
        return self.similarity.see(required(reference))

    def measure(self, image: Tensor, seen: Seen) -> Tensor:
        """Return the similarity of each image, (N,)."""
        return 1 - self.similarity.distance_to(image, seen)


def _build(fitted: str, config: MetricsConfig) -> Metric:
    own = dataclasses.replace(config.mlclipsim, fitted=fitted) if fitted else config.mlclipsim
    return Similarity(build_mlclipsim(own), fitted)


CARD: MetricCard = MetricCard(
    "mlclipsim", "ML-CLIPSim", "full", "higher", _build, takes_argument=True, lowest=-1, highest=1,
    is_differentiable=True,
    weights="checkpoints/demo/clip.safetensors, checkpoints/photos, an open_clip tag, or a file",
    locate=lambda: (demo_folder() / "clip.safetensors", "python -m lic demo-networks clip"),
    licence="Apache-2.0 (ours; the encoder's own)", source="Ding et al. 2026, arXiv 2605.09479",
)  # fmt: skip
