"""The official checkpoint of DCVC-UF-Intra -> a codec.

github.com/microsoft/DCVC (MIT), commit 54e8864: names of src/models/image_model.py.
"""

import re
from pathlib import Path

from lic.codecs.build import build_codec
from lic.codecs.codec import Codec
from lic.codecs.convert import WRAPPED, fill, read_state

LMBDAS = (0.0004614, 0.0009868, 0.002111, 0.004515, 0.009656, 0.02065, 0.04418, 0.09449)
"""Of the official rates 0, 9, ..., 63: 10 to 2048 at equal ratios (training.md), times 3 / 255^2.

The official loss is bpp + lambda * error, and the error is near the sum over three channels of the mean squared error
of values in [0, 1]; here lmbda multiplies 255^2 times its mean over them.
"""

# Its names -> ours, applied in turn.
_RENAMED = (
    (WRAPPED, ""),
    (r"^enc\.enc_1\.", "g_a.first."),
    (r"^enc\.enc_2\.", "g_a.rest."),
    (r"^dec\.dec_1\.", "g_s.first."),
    (r"^dec\.dec_2\.", "g_s.last."),
    (r"^hyper_enc\.conv\.", "h_a."),
    (r"^hyper_dec\.conv\.", "h_s."),
    (r"^y_prior_fusion\.conv\.", "fusion."),
    (r"^y_spatial_prior\.conv\.", "prior."),
    (r"^y_spatial_prior_reduction\.", "reduction."),
    (r"^y_spatial_prior_adaptor_1\.", "adaptors.0."),
    (r"^y_spatial_prior_adaptor_2\.", "adaptors.1."),
    (r"^y_spatial_prior_adaptor_3\.", "adaptors.2."),
    (r"^bit_estimator_z\.", "hyper_prior."),
    (r"^q_scale_enc$", "gain_g_a"),
    (r"^q_scale_dec$", "gain_g_s"),
    (r"^q_scale_y_enc$", "gain_y"),
    (r"^q_scale_y_dec$", "inverse_gain_y"),
    (r"\.up\.conv\.0\.", ".up."),
    (r"\.conv\.(dc|ffn)\.", r".block.\1."),
    (r"\.dc\.", ".spatial."),
    (r"\.ffn\.", ".pointwise."),
)


def convert_dcvc(source: Path) -> Codec:
    """Return the codec of the official implementation's checkpoint, in eval mode, CDF tables not built.

    Args:
        source: .pth.tar; a state dict, or a dict with one under "state_dict" or "net".

    Raises:
        ValueError: in one line: no such file, no such checkpoint, keys too many or too few, tensors of a wrong shape.
    """
    state = {_rename(name): tensor for name, tensor in read_state(source).items()}
    try:
        codec = build_codec("dcvc-uf-intra", state["gain_g_a"].shape[1], state["gain_y"].shape[1], LMBDAS)
    except KeyError as error:
        raise ValueError(f"{source} is not of DCVC-UF-Intra: it lacks q_scale_enc or q_scale_y_enc") from error
    except (ValueError, IndexError) as error:
        raise ValueError(f"checkpoint {source} is not of DCVC-UF-Intra: {error}") from error
    fill(codec.network, state, source)
    return codec.eval()


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
