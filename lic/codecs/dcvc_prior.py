"""The density of DCVC-UF's hyper latent: for each rate and channel one that factorises (Ballé et al. 2018).

Own code after github.com/microsoft/DCVC (MIT), commit 54e8864, src/models/entropy_models.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.codecs.entropy_models import OneString

NUM_LAYERS = 4
LARGEST = 64
"""Of the values in a table; what is larger is escaped."""
TAIL = 1e-5
"""What either end of a table may leave out."""
LIKELIHOOD_BOUND = 1e-6


class RateBottleneck(OneString):
    """An entropy model of (B, C, H, W) whose densities are a rate's.

    The cumulative density is c(x) = sigmoid(f4(f3(f2(f1(x))))) with f(x) = g(x softplus(h) + b) and
    g(x) = x + tanh(x) tanh(a), the identity in f4.

    Args:
        num_rates, channels: R and C.
    """

    def __init__(self, num_rates: int, channels: int) -> None:
        super().__init__(likelihood_bound=LIKELIHOOD_BOUND)
        self.num_rates, self.channels = num_rates, channels
        self.h = nn.Parameter(0.01 * torch.randn(num_rates, channels, NUM_LAYERS))
        self.b = nn.Parameter(0.01 * torch.randn(num_rates, channels, NUM_LAYERS))
        self.a = nn.Parameter(0.01 * torch.randn(num_rates, channels, NUM_LAYERS - 1))

    def forward(self, z: Tensor, rate: Tensor) -> Tensor:
        """Return the likelihoods of z with noise (in training) or rounded, the same shape.

        Args:
            z: (B, C, H, W), fp32.
            rate: (B,) or (1,), which rate each is coded at.
        """
        z = self.quantize(z, "noise" if self.training else "dequantize")
        values, rows = z.flatten(2), [part[rate] for part in (self.h, self.b, self.a)]
        likelihood = _cumulative(values + 0.5, *rows) - _cumulative(values - 0.5, *rows)
        bounded: Tensor = self.likelihood_lower_bound(likelihood)
        return bounded.view(z.shape)

    def build_indexes(self, rate: Tensor, height: int, width: int) -> Tensor:
        """Return the table of each value, (1, C, height, width), at one rate, (1,)."""
        tables = rate * self.channels + torch.arange(self.channels, device=rate.device)
        return tables.int().view(1, -1, 1, 1).expand(1, -1, height, width)

    @torch.no_grad()
    def update(self) -> None:
        """Build a table for each rate and channel, rate by rate."""
        rows = [part.detach().double().flatten(0, 1)[:, None] for part in (self.h, self.b, self.a)]
        edges = torch.arange(-LARGEST, LARGEST + 2, device=self.h.device).double() - 0.5
        cumulative = _cumulative(edges.expand(len(rows[0]), 1, -1), *rows)[:, 0]
        lower, upper = cumulative[:, :-1], cumulative[:, 1:]
        first = (upper < TAIL).sum(1).clamp(max=2 * LARGEST)
        last = torch.maximum(2 * LARGEST - (lower > 1 - TAIL).sum(1), first)
        lengths = last - first + 1
        longest = int(lengths.max())
        places = (first[:, None] + torch.arange(longest, device=first.device)).clamp(max=2 * LARGEST)
        masses = (upper - lower).gather(1, places)
        left_out = lower.gather(1, first[:, None]) + 1 - upper.gather(1, last[:, None])
        self._quantized_cdf = self._pmf_to_cdf(masses, left_out, lengths, longest)
        self._offset, self._cdf_length = (first - LARGEST).int(), (lengths + 2).int()


def _cumulative(x: Tensor, h: Tensor, b: Tensor, a: Tensor) -> Tensor:
    """Return c(x) of x, (B, C, n), given the rows of h and b, (B, C, 4), and of a, (B, C, 3)."""
    for layer in range(NUM_LAYERS):
        x = x * F.softplus(h[..., layer, None]) + b[..., layer, None]
        if layer < NUM_LAYERS - 1:
            x = x + torch.tanh(x) * torch.tanh(a[..., layer, None])
    return x.sigmoid()
