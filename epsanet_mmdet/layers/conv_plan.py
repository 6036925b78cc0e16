"""How a grouped convolution is computed fastest: the one place that decides.

A fixed table of device, dtype, channels per group and, forward, the map's width, so the same input
is always computed the same way. Figures: docs/benchmarks.md.
"""

from typing import List, Sequence, Union

from torch import Tensor

from . import cpu_kernels
from .direct_conv import LARGEST_KERNEL

DIRECT = 'direct'
# Input channels of a group up to which the direct kernel is the faster; and those where it is so in
# forward passes alone, of maps at least this wide.
NARROW, NARROW_FORWARD, WIDE_MAP = 16, 32, 20


def plan_convs(
    x: Tensor,
    weights: Sequence[Tensor],
    groups: Sequence[int],
    stride: int,
    dilation: int,
    narrow: int = NARROW,
) -> List[Union[str, int]]:
    """Give the fastest way for each convolution of x; their padding keeps the map's size.

    Args:
        x: (B, C, H, W).
        weights: (out_channels, C / groups, k, k) each.
        groups: Groups of each.
        stride: Stride of all.
        dilation: Dilation of all.
        narrow: Input channels of a group up to which the direct kernel is taken.

    Returns:
        For each ``DIRECT``, or the number of groups to give the library: the layer's own or, the
        weight written as a block-diagonal one, fewer.
    """
    direct = min(stride, dilation) == 1 and cpu_kernels.takes(x, *weights)
    return [
        DIRECT if direct and _pays(w, g, narrow) else merged_groups(x.shape[1], g, x)
        for w, g in zip(weights, groups)
    ]


def narrow_forward(x: Tensor, stride: int) -> int:
    """Give ``narrow`` of :func:`plan_convs` for a forward pass over x."""
    return NARROW_FORWARD if stride == 1 and x.shape[3] >= WIDE_MAP else NARROW


def _pays(weight: Tensor, groups: int, narrow: int) -> bool:
    _, inputs, size, _ = weight.shape
    return groups > 1 and inputs <= narrow and size <= LARGEST_KERNEL


def merged_groups(in_channels: int, groups: int, x: Tensor) -> int:
    """Give the number of groups for the library: each at least as wide as pays on this device."""
    enough = enough_channels(x)
    while groups % 2 == 0 and in_channels // groups < enough:
        groups //= 2
    return groups


def enough_channels(x: Tensor) -> int:
    """Give the input channels of a group from which merging further stopped paying."""
    return 128 if x.is_cuda else 16
