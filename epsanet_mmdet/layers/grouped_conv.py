"""Grouped convolutions, computed with fewer and wider groups where that is faster."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv_plan import merged_groups


class GroupedConv2d(nn.Conv2d):
    """``nn.Conv2d`` that merges narrow groups for speed; the same function and parameters.

    A convolution with G groups equals one with fewer groups whose weight is block-diagonal.
    Libraries compute many narrow groups so badly that multiplying with these zeros pays. The
    stored weight stays grouped, so checkpoints do not change.

    Args:
        *args, **kwargs: As of ``nn.Conv2d``.

    Shape:
        As of ``nn.Conv2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        groups = merged_groups(self.in_channels, self.groups, x)
        if groups == self.groups:
            return super().forward(x)
        weight = merge_groups(self.weight, self.groups, groups)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, groups)


def merge_groups(weight: Tensor, groups: int, merged: int) -> Tensor:
    """Write the weight of a grouped convolution as that of one with fewer groups.

    Args:
        weight: (out_channels, in_channels / groups, kh, kw).
        groups: Groups of ``weight``.
        merged: Groups of the result; a divisor of ``groups``.

    Returns:
        Block-diagonal weight (out_channels, in_channels / merged, kh, kw).
    """
    outputs, inputs, height, width = weight.shape
    side = groups // merged
    diagonal = torch.eye(side, dtype=weight.dtype, device=weight.device)
    blocks = weight.view(merged, side, outputs // groups, 1, inputs, height, width)
    merged_blocks = blocks * diagonal.view(1, side, 1, side, 1, 1, 1)
    return merged_blocks.reshape(outputs, side * inputs, height, width)


def split_groups(weight: Tensor, groups: int, merged: int) -> Tensor:
    """Take from the weight of :func:`merge_groups` its diagonal blocks, the inverse.

    Args:
        weight: (out_channels, in_channels / merged, kh, kw).
        groups: Groups of the result.
        merged: Groups of ``weight``.

    Returns:
        (out_channels, in_channels / groups, kh, kw).
    """
    outputs, inputs, height, width = weight.shape
    side = groups // merged
    blocks = weight.view(merged, side, outputs // groups, side, inputs // side, height, width)
    return blocks.diagonal(dim1=1, dim2=3).movedim(-1, 1).reshape(outputs, -1, height, width)
