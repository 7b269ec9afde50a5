"""1 - cosine of tokens, as half the squared distance of the normalised ones: in bf16 1 - cos itself goes negative."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def one_minus_cos(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - cosine over the last axis, (...), exactly 0 for equal vectors and never negative.

    A vector of zeros has distance 0 to another, 1/2 to the rest.

    Args:
        a, b: (..., C), of any precision; computed in float32 or float64. Their leading axes broadcast.
    """
    a, b = (vectors if vectors.dtype == torch.float64 else vectors.float() for vectors in (a, b))
    if b.requires_grad:  # else a quarter of autograd's work will do
        return (F.normalize(a, dim=-1) - F.normalize(b, dim=-1)).square().sum(-1) / 2
    distance: Tensor = _OneMinusCos.apply(a, b)
    return distance


class _OneMinusCos(torch.autograd.Function):
    """d = |u - v|^2 / 2 of u = a / |a| and v = b / |b|, with dd/da = (u - v - d u) / |a| in few passes over memory."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(a, dim=-1, keepdim=True)
        norm.masked_fill_(norm == 0, 1)  # a token of zeros, as ReLU leaves them: a gradient of ordinary size
        direction, difference = a / norm, F.normalize(b, dim=-1)
        difference = torch.sub(direction, difference, out=difference if difference.shape == a.shape else None)
        distance: Tensor = torch.linalg.vector_norm(difference, dim=-1, keepdim=True).square_().div_(2)
        ctx.save_for_backward(direction, difference, norm, distance)
        return distance.squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        direction, difference, norm, distance = ctx.saved_tensors
        gradient: Tensor = torch.addcmul(difference, direction, distance, value=-1)
        return gradient.mul_(gradients[0].unsqueeze(-1) / norm), None
