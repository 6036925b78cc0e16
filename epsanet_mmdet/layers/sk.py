"""Selective kernel convolution (arXiv 1903.06586)."""

from typing import Sequence

import torch
from torch import Tensor, nn

from .checks import check_divisible, check_positive
from .norm import NormLayer, PooledBatchNorm2d


class SKConv2d(nn.Module):
    """Selective kernels: a sum of convolutions of growing reach, weighted for each channel.

    ``U_i = relu(norm(conv_i(x)))``, ``z = relu(norm(W1 gap(sum_i U_i)))``,
    ``A = softmax_i(W2_i z)``, output ``sum_i A_i U_i``.

    The convolutions are 3x3 and differ in their dilation: 1 and 2 stand for kernels of 3x3 and 5x5.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels C of the output, a multiple of ``groups``.
        dilations: Dilation of each branch.
        groups: Convolution groups of all branches.
        stride: Stride of all branches.
        reduction: Ratio r; z has ``max(C // r, min_hidden)`` channels.
        min_hidden: See ``reduction``.
        norm_layer: Builds the normalisations.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ArgumentError: If a number is less than 1, or the groups do not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dilations: Sequence[int] = (1, 2),
        groups: int = 32,
        stride: int = 1,
        reduction: int = 16,
        min_hidden: int = 32,
        norm_layer: NormLayer = PooledBatchNorm2d,
    ) -> None:
        super().__init__()
        check_positive(
            'SKConv2d',
            in_channels=in_channels,
            out_channels=out_channels,
            dilations=min(dilations, default=0),
            stride=stride,
            reduction=reduction,
            min_hidden=min_hidden,
        )
        check_divisible('SKConv2d', groups, in_channels=in_channels, out_channels=out_channels)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 3, stride, d, d, groups, bias=False),
                norm_layer(out_channels),
                nn.ReLU(inplace=True),
            )
            for d in dilations
        )
        hidden = max(out_channels // reduction, min_hidden)
        self.fc1 = nn.Conv2d(out_channels, hidden, 1, bias=False)
        self.norm = norm_layer(hidden)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(hidden, len(dilations) * out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.stack([branch(x) for branch in self.branches], dim=1)
        return (features * self.attention(features)).sum(dim=1)

    def attention(self, features: Tensor) -> Tensor:
        """Return the weights (B, branches, C, 1, 1) of features (B, branches, C, H', W')."""
        pooled = features.sum(dim=1).mean(dim=(2, 3), keepdim=True)
        scores = self.fc2(self.relu(self.norm(self.fc1(pooled))))
        # CUDA's autocast computes every softmax in float32.
        return scores.unflatten(1, (len(self.branches), -1)).softmax(dim=1).to(features.dtype)
