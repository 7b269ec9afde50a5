"""Codec names -> CompressAI architectures."""

from typing import assert_never

from compressai.models import MeanScaleHyperprior, ScaleHyperprior

from lic.codecs.codec import Codec
from lic.config import CodecName


def build_codec(name: CodecName, num_channels: int, num_latent_channels: int) -> Codec:
    """Return an untrained codec.

    Args:
        name: `bmshj2018-hyperprior` (Ballé et al. 2018, arXiv 1802.01436) or `mbt2018-mean` (Minnen et al. 2018,
            arXiv 1809.02736, without the autoregressive context).
        num_channels: CompressAI's N, channels between the layers.
        num_latent_channels: CompressAI's M, channels of the latent.
    """
    match name:
        case "bmshj2018-hyperprior":
            return Codec(ScaleHyperprior(num_channels, num_latent_channels))
        case "mbt2018-mean":
            return Codec(MeanScaleHyperprior(num_channels, num_latent_channels))
        case _:
            assert_never(name)
