"""CLIP-IQA (Wang et al., AAAI 2023, arXiv 2207.12396): no-reference quality as CLIP's choice between two prompts.

    Q = softmax(s cos(f, "Good photo."), s cos(f, "Bad photo."))_1                 in 0 .. 1, higher is better

f is the embedding of the whole image at its own size, by CLIP's RN50 without positional embedding; s is CLIP's own
scale (100 in OpenAI's weights, a constant in torchmetrics). torchmetrics' and piq's implementations download weights
from places of their own; this one takes open_clip's, or a file.
"""

from typing import Any

from torch import Tensor

from lic.backbones.prompted import PromptedClip, load_prompted_clip
from lic.metrics.metric import Metric, MetricCard
from lic.metrics.openai_rn50 import WEIGHTS, locate
from lic.settings.metrics import CLIPIQAConfig

PAIR = ("Good photo.", "Bad photo.")


class CLIPIQA(Metric):
    """CLIP-IQA of images, (N,), in 0 .. 1; higher is better.

        build_clipiqa(CLIPIQAConfig())(images)
    """

    def __init__(self, clip: PromptedClip) -> None:
        super().__init__(CARD)
        self.clip = clip

    def prepare(self, reference: Tensor | None) -> None:
        """Take no notice of a reference."""

    def measure(self, image: Tensor, seen: Any = None) -> Tensor:
        """Return the quality of each image, (N,)."""
        return self.clip.agreement(self.clip(image))[:, 0]


def build_clipiqa(config: CLIPIQAConfig) -> CLIPIQA:
    """Return the metric that the settings describe."""
    return CLIPIQA(load_prompted_clip(config.pretrained, config.encoder, [PAIR]))


CARD: MetricCard = MetricCard(
    "clipiqa", "CLIP-IQA", "none", "higher", lambda _, config: build_clipiqa(config.clipiqa), lowest=0, highest=1,
    is_differentiable=True, weights=WEIGHTS, locate=locate, licence="Apache-2.0 (ours); OpenAI's weights MIT",
    source="Wang et al. 2023, arXiv 2207.12396",
)  # fmt: skip
