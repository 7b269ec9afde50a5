"""LPIPS (Zhang et al. 2018, https://arxiv.org/abs/1801.03924): distance of the features of an ImageNet classifier.

    LPIPS = sum_l mean_hw w_l . (f_l(x) - f_l(y))^2,    f: activations, of unit length over the channels

The weights w (version 0.1, fitted to people's judgements) come with torchmetrics (Apache-2.0; theirs BSD-2-Clause), the
classifier's from torchvision. AlexNet is the authors' choice for measuring, and what most papers report; they name
VGG16 as the one closer to earlier perceptual losses.
"""

from typing import Literal

from torch import Tensor, nn
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from lic.backbones.trunks import TrunkName, build_on_trunk
from lic.distortions.card import DistortionCard
from lic.distortions.pair import comparable, full_precision

_TRUNKS: dict[str, TrunkName] = {"alex": "alexnet", "vgg": "vgg16"}
_LEAST_PX = {"alex": 31, "vgg": 16}  # what the poolings leave a pixel of


class LPIPS(nn.Module):
    """LPIPS on one of two trunks, not below 0, 0 = identical."""

    def __init__(self, trunk: Literal["alex", "vgg"] = "alex") -> None:
        super().__init__()
        self.least_px = _LEAST_PX[trunk]
        self.network = build_on_trunk(
            _TRUNKS[trunk], lambda: LearnedPerceptualImagePatchSimilarity(net_type=trunk).net
        )

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the distance of each image, (N,). Sides below 31 px (VGG16: 16 px) are mirrored up to that.

        Args:
            reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
            image: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1].
        """
        with full_precision(image):
            distance: Tensor = self.network(*comparable(reconstruction, image, self.least_px), normalize=True)
            return distance.flatten()


CARD = DistortionCard("lpips", 400.0, lambda _: LPIPS())
"""Scale: not calibrated; HiFiC's weight of LPIPS beside mse (Mentzer et al. 2020, arXiv 2006.09965), 2^5 / 0.075."""
