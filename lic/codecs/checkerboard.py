"""The two colours of a latent's checkerboard (He et al. 2021, arXiv 2103.15306).

A half is what one colour of a board (B, C, H, W) holds, squeezed to (B, C, H, W / 2). Its parity is that of row plus
column.
"""

import torch
from torch import Tensor


def gather(board: Tensor, parity: int) -> Tensor:
    """Return one colour, (B, C, H, W / 2), of a board (B, C, H, W)."""
    rows = board[..., 0::2, parity::2], board[..., 1::2, 1 - parity :: 2]
    return torch.stack(rows, -2).flatten(-3, -2)


def scatter(half: Tensor, parity: int) -> Tensor:
    """Return a board (B, C, H, W) with a half (B, C, H, W / 2) on one colour and zeros on the other."""
    batch, channels, height, width = half.shape
    board = half.new_zeros(batch, height, 2 * width, channels).permute(0, 3, 1, 2)  # channels last
    board[..., 0::2, parity::2] = half[..., 0::2, :]
    board[..., 1::2, 1 - parity :: 2] = half[..., 1::2, :]
    return board
