"""--optimizer: Adam, or one of second order that needs a fraction of its steps.

- adam: torch's (Kingma and Ba 2015, arXiv 1412.6980).
- soap: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2025, arXiv 2409.11321), for learned codecs by
  Zhang and Zhu 2026 (arXiv 2601.20769). Beside Adam's two averages it keeps two matrices of O x O and two of I x I for
  a kernel (O, I, k, k): 10 MB for mbt2018-mean, 190 MB for mlicpp. Vectors get Adam's update.
- muon: momentum made orthogonal (Jordan et al. 2024), of convolutions' kernels seen as matrices; Adam for the rest.

The entropy bottleneck's quantiles are another loss's parameters and stay with Adam in a group of their own: in SOAP
that is a group without preconditioner. SOAP and Muon are pytorch-optimizer's (Apache-2.0).
"""

import torch
from pytorch_optimizer import SOAP, Muon

from lic.codecs import Codec
from lic.settings.names import LEARNING_RATES, OptimizerName

ADAM_BETAS, ADAM_EPS = (0.9, 0.999), 1e-8
RENEWED_EVERY = 2
"""Steps from one renewal of SOAP's bases to the next; its authors' 10 costs less and needs more steps."""
LARGEST_SIDE = 512
"""Of SOAP's matrices: a renewal costs the cube. Of mlicpp's 1346 sides 37 are larger and go without."""
NO_SIDE = 1
"""The same where SOAP is to be Adam."""


def build_optimizer(
    name: OptimizerName, codec: Codec, rate: float, aux_learning_rate: float
) -> torch.optim.Optimizer:
    """Return the optimiser of a codec's trainable weights and, in its last group, of its quantiles.

    Args:
        name: see above.
        codec: whose parameters; frozen ones are left out.
        rate: learning rate of the weights.
        aux_learning_rate: of the quantiles.
    """
    own = {key: weight for key, weight in codec.named_parameters() if weight.requires_grad}
    quantiles = {"params": [own.pop(key) for key in list(own) if key.endswith(".quantiles")], "lr": aux_learning_rate}
    as_adam = {"betas": ADAM_BETAS, "eps": ADAM_EPS}
    if name == "soap":
        plain = {**quantiles, **as_adam, "max_precondition_dim": NO_SIDE}
        return SOAP([{"params": [*own.values()], "lr": rate}, plain], weight_decay=0.0,
                    precondition_frequency=RENEWED_EVERY, max_precondition_dim=LARGEST_SIDE)  # fmt: skip
    if name == "muon":
        kernels = [own.pop(key) for key in list(own) if key.endswith("weight") and own[key].ndim > 1]
        rest = {"params": [*own.values()], "lr": LEARNING_RATES["adam"]}
        return Muon([{"params": kernels, "lr": rate, "use_muon": True},
                     *({**group, **as_adam, "use_muon": False} for group in (rest, quantiles))])  # fmt: skip
    return torch.optim.Adam([{"params": [*own.values()], "lr": rate}, quantiles])
