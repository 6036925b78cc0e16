"""Coordinate attention (arXiv 2103.02907)."""

from typing import Tuple

import torch
from torch import Tensor, nn

from .checks import check_positive
from .norm import NormLayer, PooledBatchNorm2d


class CoordAttention2d(nn.Module):
    """Coordinate attention: one gate along the rows and one along the columns.

    The means over the width and over the height form one sequence, to which a shared 1x1
    convolution, normalisation and h-swish are applied. Each part then has its own 1x1 convolution:
    ``x * sigmoid(conv_h(.)) * sigmoid(conv_w(.))``.

    Args:
        channels: Channels C.
        reduction: Reduction ratio; the hidden width is ``max(8, C // reduction)``.
        norm_layer: Builds the normalisation of the hidden channels.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If channels or reduction is less than 1.
    """

    def __init__(
        self, channels: int, reduction: int = 32, norm_layer: NormLayer = PooledBatchNorm2d
    ) -> None:
        super().__init__()
        check_positive('CoordAttention2d', channels=channels, reduction=reduction)
        hidden = max(8, channels // reduction)
        self.conv1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = norm_layer(hidden)
        self.act = nn.Hardswish(inplace=True)
        self.conv_h = nn.Conv2d(hidden, channels, 1)
        self.conv_w = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate_h, gate_w = self.attention(x)
        return x * gate_h * gate_w

    def attention(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the weights of the rows, (B, C, H, 1), and of the columns, (B, C, 1, W)."""
        rows = x.mean(dim=3, keepdim=True)
        columns = x.mean(dim=2, keepdim=True).transpose(2, 3)
        y = self.act(self.bn1(self.conv1(torch.cat([rows, columns], dim=2))))
        rows, columns = y.split([x.size(2), x.size(3)], dim=2)
        gate_h = self.conv_h(rows).sigmoid()
        gate_w = self.conv_w(columns.transpose(2, 3)).sigmoid()
        return gate_h, gate_w
