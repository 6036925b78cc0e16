"""Pyramidal convolution (arXiv 2006.11538)."""

from typing import List, Sequence

import torch
from torch import Tensor, nn

from .checks import check_branches, check_positive


class PyConv2d(nn.Module):
    """Pyramidal convolution: levels of growing kernels and groups, ``[F_1, ..., F_n]``.

    Every level ``F_i = conv_i(x)`` convolves all input channels. With n a power of two, all levels
    have the same number of output channels; otherwise, the last one has what the others leave of
    the next power of two: of three levels, a quarter, a quarter and a half, as published.

    The parameters are named (``conv2_1.weight``, ...) as in the authors' networks. A PSA module
    without attention computes the same, with the levels in reversed order.

    Args:
        in_channels: Channels of the input, a multiple of every group count.
        out_channels: Channels of the output.
        kernel_sizes: Odd kernel size of each level.
        groups: Convolution groups of each level, which divide its output channels.
        stride: Stride of all levels.
        dilation: Dilation of all levels.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ArgumentError: If a number is less than 1, or the channels, kernel sizes and groups do not
            match.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        groups: Sequence[int] = (1, 4, 8, 16),
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        check_positive(
            'PyConv2d',
            in_channels=in_channels,
            out_channels=out_channels,
            stride=stride,
            dilation=dilation,
        )
        shares = level_shares(len(kernel_sizes))
        check_branches('PyConv2d', in_channels, out_channels, kernel_sizes, groups, shares)
        self.levels = len(kernel_sizes)
        for i, (kernel_size, group, share) in enumerate(zip(kernel_sizes, groups, shares), start=1):
            width = out_channels * share // sum(shares)
            sizes = kernel_size, stride, dilation * (kernel_size // 2), dilation
            self.add_module(f'conv2_{i}', nn.Conv2d(in_channels, width, *sizes, group, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([getattr(self, f'conv2_{i + 1}')(x) for i in range(self.levels)], dim=1)


def level_shares(levels: int) -> List[int]:
    """Return the proportions of the levels' output channels."""
    if levels < 1:
        return []
    return [1] * (levels - 1) + [2 ** (levels - 1).bit_length() - levels + 1]
