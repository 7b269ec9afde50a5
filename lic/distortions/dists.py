"""DISTS (Ding et al. 2020, https://arxiv.org/abs/2004.07728): structure and texture in the features of a VGG16.

    DISTS = 1 - sum_l,c (alpha_lc S(means of f_lc) + beta_lc S(f_lc)),    S as in SSIM, over the whole feature map

Layer 0 is the image itself. Means stand for texture, correlations for structure; the weights alpha and beta come with
torchmetrics (Apache-2.0; theirs MIT), those of VGG16 from torchvision. Like torchmetrics this takes images at their own
size; the authors' script and piq first shrink the shorter side to 256 px, which hides fine distortions.
"""

from torch import Tensor, nn
from torchmetrics.functional.image.dists import DISTSNetwork

from lic.backbones.trunks import build_on_trunk
from lic.distortions.card import DistortionCard
from lic.distortions.pair import comparable, full_precision

LEAST_PX = 16  # four halvings


class DISTS(nn.Module):
    """DISTS, in [0, 1] for all but contrived images, 0 = identical."""

    def __init__(self) -> None:
        super().__init__()
        self.network = build_on_trunk("vgg16", DISTSNetwork)

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the distance of each image, (N,). Sides below 16 px are mirrored up to that.

        Args:
            reconstruction: (N, 3, H, W), RGB; clamped to [0, 1].
            image: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1].
        """
        with full_precision(image):
            # require_grad: else it computes in inference mode, whose tensors no later backward pass may use.
            distance: Tensor = self.network(*comparable(reconstruction, image, LEAST_PX), require_grad=True)
            return distance.reshape(-1)


CARD = DistortionCard("dists", 400.0, lambda _: DISTS())
"""Scale: that of LPIPS, not calibrated."""
