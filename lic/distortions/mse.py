"""Mean squared error, the distortion of CompressAI's published codecs."""

from torch import Tensor

from lic.distortions.card import DistortionCard


def mse(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Return the mean squared error of each image, (N,), for RGB in [0, 1]; 0 = identical.

    Args:
        reconstruction: (N, 3, H, W), not clamped: a pixel outside [0, 1] is an error too.
        image: (N, 3, H, W).
    """
    return (reconstruction.float() - image).square().mean((1, 2, 3))


MSE_SCALE = 255.0**2  # CompressAI: the error in 8-bit steps
CARD = DistortionCard("mse", MSE_SCALE, lambda _: mse)
