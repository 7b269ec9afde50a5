"""What MLIC++ knows of a latent position before it is decoded: channel, local and global contexts.

Jiang et al., "MLIC++: Linear Complexity Multi-Reference Entropy Modeling for Learned Image Compression", arXiv
2307.15421. A slice is 32 channels of the latent on a checkerboard (He et al. 2021, arXiv 2103.15306):

    . A . A      A, anchors: decoded first, from the slices before
    A . A .      ., non-anchors: decoded next, from this slice's anchors, too

Networks of 1 x 1 convolutions, attention queries and the range coder see halves only (lic/codecs/checkerboard.py).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from compressai.layers import conv1x1, conv3x3
from torch import Tensor, nn

from lic.codecs.checkerboard import gather, scatter

ANCHOR, NON_ANCHOR = 1, 0  # the parity of row + column
SLICE = 32  # channels


class Windows(NamedTuple):
    """The windows around the P = H W / 2 non-anchors of a board, row by row.

    Attributes:
        position: (P, window ** 2), row * W + column of each place in a window; H * W for those outside the board.
        is_inside: (P, window ** 2), whether the place lies on the board.
    """

    position: Tensor
    is_inside: Tensor


def windows_of(height: int, width: int, window: int, device: torch.device) -> Windows:
    """Return the windows of a board."""
    grid = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    row, column = gather(torch.stack(grid), NON_ANCHOR).flatten(1)[..., None]
    offset = torch.arange(window, device=device) - window // 2
    row = row + offset.repeat_interleave(window)
    column = column + offset.repeat(window)
    is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return Windows(torch.where(is_inside, row * width + column, height * width), is_inside)


class LocalContext(nn.Module):
    """Attention inside the window of each non-anchor, then a convolution over the window's tokens (section 3.3).

    Every place of the window is a query. The official code adds -100 to the logits of all pairs but anchor-anchor.
    Thus anchors attend to the anchors; but where a query is no anchor, or lies outside the board, -100 on all its
    logits changes nothing, and it attends to the whole window, with its empty neighbours and those outside. This is
    kept, as trained weights need it. Non-anchors are still empty, so that these queries are all one and the same.
    """

    _distance: Tensor
    _anchors: Tensor
    _others: Tensor

    def __init__(self, window: int, channels: int = SLICE, num_heads: int = 2) -> None:
        super().__init__()
        self.window, self.num_heads = window, num_heads
        self.norm1 = nn.LayerNorm(channels)
        self.qkv_proj = nn.Linear(channels, channels * 3)
        self.relative_position_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.relative_position_table, std=0.02)
        self.fusion = nn.Conv2d(channels, channels * 2, window)
        self.proj = nn.Linear(channels * 2, channels * 2)
        self.norm2 = nn.LayerNorm(channels * 2)
        self.mlp = nn.Sequential(
            nn.Linear(channels * 2, channels * 4), nn.GELU(), nn.Linear(channels * 4, channels * 2)
        )
        row, column = torch.arange(window).repeat_interleave(window), torch.arange(window).repeat(window)
        distance = (row[:, None] - row + window - 1) * (2 * window - 1) + column[:, None] - column + window - 1
        is_anchor = (row + column + window // 2 * 2) % 2 == ANCHOR
        self.register_buffer("_distance", distance, persistent=False)
        self.register_buffer("_anchors", is_anchor.nonzero().flatten(), persistent=False)
        self.register_buffer("_others", (~is_anchor).nonzero().flatten(), persistent=False)

    def forward(self, anchors: Tensor, windows: Windows) -> Tensor:
        """Return the context (B, 2 C, H, W / 2) of the non-anchors.

        Args:
            anchors: (B, C, H, W), zeros at the non-anchors.
            windows: of a board of this size.
        """
        height, width = anchors.shape[-2:]
        attended = self._attend(anchors, windows)
        weight = self.fusion.weight.flatten(2)[..., torch.cat([self._anchors, self._others])]
        weight = weight.unflatten(1, (self.num_heads, -1)).transpose(2, 3)  # (2 C, heads, places, C / heads)
        fused = F.linear(attended.transpose(1, 2).flatten(2), weight.flatten(1), self.fusion.bias)
        fused = self.proj(fused)
        context: Tensor = fused + self.mlp(self.norm2(fused))
        return context.transpose(1, 2).reshape(len(context), -1, height, width // 2)

    def _attend(self, board: Tensor, windows: Windows) -> Tensor:
        """Return the windows' tokens after attention: (B, heads, P, window ** 2, C / heads), anchors first."""
        anchors, others = self._anchors, self._others
        tokens = self.qkv_proj(self.norm1(board.flatten(2).transpose(1, 2)))
        tokens = tokens.unflatten(2, (3, -1, self.num_heads)).permute(2, 0, 4, 1, 3)  # heads are interleaved
        query, key, value = F.pad(tokens, (0, 0, 0, 1))  # a last token of zeros for places outside the board
        query = query * query.shape[-1] ** -0.5
        bias = self.relative_position_table[self._distance].permute(2, 0, 1)[:, None]  # (heads, 1, places, places)
        near, is_inside = windows.position[:, anchors], windows.is_inside[:, anchors]
        logits = _take(query, near) @ _take(key, near).transpose(-1, -2) + bias[..., anchors, :][..., anchors]
        to_anchors = logits.masked_fill(~is_inside[:, None], -torch.inf).softmax(-1) @ _take(value, near)
        value = _take(value, windows.position)
        to_all = bias[..., anchors, :].softmax(-1) @ value  # of a query outside: zero, so that the bias remains
        empty = (key @ query[:, :, :1].transpose(-1, -2))[..., 0]  # the place at the top left is no anchor
        empty = _take(empty, windows.position)[..., None, :] * windows.is_inside[:, others, None]
        of_others = (empty + bias[..., others, :]).softmax(-1) @ value
        return torch.cat([torch.where(is_inside[..., None], to_anchors, to_all), of_others], -2)


def _take(tokens: Tensor, position: Tensor) -> Tensor:
    """Return the tokens (B, heads, L, ...) at positions (P, K), as (B, heads, P, K, ...)."""
    taken = tokens.index_select(2, position.flatten())
    return taken.view(*tokens.shape[:2], *position.shape, *tokens.shape[3:])


def channel_context(num_slices: int) -> nn.Sequential:
    """Return a network: previous slices (B, 32 num_slices, H, W) -> their context (B, 128, H, W)."""
    return nn.Sequential(
        conv3x3(SLICE * num_slices, 192), nn.GELU(), conv3x3(192, 128), nn.GELU(), conv3x3(128, SLICE * 4)
    )


def entropy_parameters(in_channels: int) -> nn.Sequential:
    """Return a network: contexts (B, C, H, W / 2) -> scales and means of a half, (B, 64, H, W / 2)."""
    return nn.Sequential(
        conv1x1(in_channels, 320),
        nn.GELU(),
        conv1x1(320, 256),
        nn.GELU(),
        conv1x1(256, 128),
        nn.GELU(),
        conv1x1(128, SLICE * 2),
    )


def residual_prediction(in_channels: int) -> nn.Sequential:
    """Return a network that predicts what rounding took away, 32 channels, before 0.5 tanh (Minnen & Singh 2020)."""
    return nn.Sequential(conv3x3(in_channels, 224), nn.GELU(), conv3x3(224, 128), nn.GELU(), conv3x3(128, SLICE))


def residual_prediction_old(in_channels: int) -> nn.Sequential:
    """Return the older form's network of four layers that narrow evenly: the official LatentResidualPredictionOld."""
    excess = in_channels - SLICE
    widths = [in_channels - excess * quarter // 4 for quarter in range(4)]
    return nn.Sequential(
        conv3x3(widths[0], widths[1]), nn.GELU(), conv3x3(widths[1], widths[2]), nn.GELU(),
        conv3x3(widths[2], widths[3]), nn.GELU(), conv3x3(widths[3], SLICE),
    )  # fmt: skip


def linear_attention(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """Return attention whose cost is linear in the positions (Shen et al. 2021, arXiv 1812.01243).

    Args:
        query, key, value: (B, C, ...), softmax over a head's channels, over positions, none.

    Returns:
        (B, C, L), at the queries' positions.
    """
    query, key, value = (part.flatten(2).unflatten(1, (num_heads, -1)) for part in (query, key, value))
    context = value @ key.softmax(3).transpose(2, 3)
    return (context @ query.softmax(2)).flatten(1, 2)


def _projection(channels: int) -> nn.Sequential:
    return nn.Sequential(conv1x1(channels, channels), nn.Conv2d(channels, channels, 3, padding=1, groups=channels))


def _mlp(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        conv1x1(in_channels, hidden_channels),
        nn.GELU(),
        nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels),
        nn.GELU(),
        conv1x1(hidden_channels, out_channels),
    )


class GlobalInterContext(nn.Module):
    """Linear attention over all positions of the previous slices, 32 channels a head (section 3.4)."""

    def __init__(self, num_slices: int) -> None:
        super().__init__()
        channels = SLICE * num_slices
        self.num_heads = num_slices
        self.queries, self.keys, self.values = (_projection(channels) for _ in range(3))
        self.reprojection = nn.Conv2d(channels, SLICE * 3, 5, padding=2)
        self.mlp = _mlp(SLICE * 3, SLICE * 4, SLICE * 2)
        self.skip = conv1x1(SLICE * 3, SLICE * 2)

    def forward(self, previous: Tensor) -> Tensor:
        """Return the context (B, 64, H, W) from the previous slices (B, 32 num_slices, H, W)."""
        parts = self.queries(previous), self.keys(previous), self.values(previous)
        attended = linear_attention(*parts, self.num_heads).view(previous.shape)
        context = self.reprojection(attended)
        output: Tensor = self.skip(context) + self.mlp(context)
        return output


class GlobalIntraContext(nn.Module):
    """Linear attention from a slice's non-anchors to its anchors, as alike as they were in the slice before."""

    def __init__(self, num_heads: int = 2) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.queries, self.keys, self.values = (_projection(SLICE) for _ in range(3))
        self.reprojection = nn.Conv2d(SLICE, SLICE * 2, 5, padding=2)
        self.mlp = _mlp(SLICE * 2, SLICE * 4, SLICE * 2)

    def forward(self, previous: Tensor, anchors: Tensor) -> Tensor:
        """Return the context (B, 64, H, W / 2) of the non-anchors.

        Args:
            previous: (B, 32, H, W), the slice before.
            anchors: (B, 32, H, W), this slice, zeros at the non-anchors.
        """
        query = gather(self.queries(scatter(gather(previous, NON_ANCHOR), NON_ANCHOR)), NON_ANCHOR)
        key = gather(self.keys(scatter(gather(previous, ANCHOR), ANCHOR)), ANCHOR)
        value = gather(self.values(anchors), ANCHOR)
        attended = linear_attention(query, key, value, self.num_heads).view(query.shape)
        context = self.reprojection(scatter(attended, NON_ANCHOR))
        return gather(context + self.mlp(context), NON_ANCHOR)
