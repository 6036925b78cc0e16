"""How a grouped convolution is computed fastest: the one place that decides.

A fixed table of device, dtype and channels per group, so the same input is always computed the same
way. Figures: docs/benchmarks.md.
"""

from typing import Union

import torch
from torch import Tensor

from . import direct_conv

DIRECT = 'direct'


def plan_conv(
    x: Tensor, weight: Tensor, groups: int, stride: int, dilation: int
) -> Union[str, int]:
    """Give the fastest way for a convolution whose padding keeps the map's size.

    Args:
        x: (B, C, H, W).
        weight: (out_channels, C / groups, kh, kw).
        groups: Number of groups.
        stride: Stride.
        dilation: Dilation.

    Returns:
        ``DIRECT``, or the number of groups to give the library: the layer's own or, the weight
        written as a block-diagonal one, fewer.
    """
    inputs, *kernel = weight.shape[1:]
    narrow = inputs <= 16 and (kernel[0] > 3 or groups > 1)
    covered = kernel[0] == kernel[1] <= direct_conv.LARGEST_KERNEL and min(stride, dilation) == 1
    if narrow and covered and runs_direct(x, weight):
        return DIRECT
    return merged_groups(x.shape[1], groups, x)


def runs_direct(x: Tensor, weight: Tensor) -> bool:
    """Whether the direct kernel takes these tensors, and no other program is to run the result."""
    return (
        direct_conv.instruction_set() is not None
        and x.device.type == weight.device.type == 'cpu'
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled('cpu')
        and not torch.jit.is_tracing()
        and not torch.onnx.is_in_onnx_export()
        and (x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last))
    )


def merged_groups(in_channels: int, groups: int, x: Tensor) -> int:
    """Give the number of groups for the library: each at least as wide as pays on this device."""
    enough = enough_channels(x)
    while groups % 2 == 0 and in_channels // groups < enough:
        groups //= 2
    return groups


def enough_channels(x: Tensor) -> int:
    """Give the input channels of a group from which merging further stopped paying."""
    return 128 if x.is_cuda else 16
