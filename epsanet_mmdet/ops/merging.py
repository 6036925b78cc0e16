"""Grouped convolutions by the library, with narrow groups merged into fewer, wider ones.

A convolution with G groups equals one with fewer groups and a block-diagonal weight. Libraries are
so slow on many narrow groups that multiplying with the zeros is faster. The stored weight stays
grouped. Measurements: docs/internals/speed.md.
"""

from itertools import combinations
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..layers.deployed_psa import ENOUGH_CHANNELS, merge_groups, wider_groups


def library_convs(
    x: Tensor, weights: Sequence[Tensor], groups: Sequence[int], stride: int, dilation: int
) -> Tensor:
    """Convolve x by each weight, with the padding that keeps the size of the map.

    Args:
        x: (B, C, H, W).
        weights: (out_channels, C / groups, k, k) each, with odd k and equal out_channels.
        groups: Groups of each.
        stride: Stride of all.
        dilation: Dilation of all.

    Returns:
        (B, branches, out_channels, ceil(H / stride), ceil(W / stride)).
    """
    features = [None] * len(weights)
    merged = [merged_groups(w.shape[1] * g, g, x) for w, g in zip(weights, groups)]
    for i, j in _pairs(x, weights, merged):
        if i == j:
            features[i] = library_conv(x, weights[i], groups[i], stride, dilation, merged[i])
            continue
        pair = [merge_groups(weights[k], groups[k], merged[k]) for k in (i, j)]
        out = library_conv(x, _joined(pair, merged[i]), merged[i], stride, dilation, merged[i])
        parts = out.unflatten(1, (merged[i], 2, -1)).unbind(2)
        features[i], features[j] = (part.flatten(1, 2) for part in parts)
    return torch.stack(features, dim=1)


def library_conv(
    x: Tensor, weight: Tensor, groups: int, stride: int, dilation: int, merged: int
) -> Tensor:
    """Convolve x by one weight with merged groups."""
    if merged != groups:
        weight = merge_groups(weight, groups, merged)
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, None, stride, padding, dilation, merged)


def merged_groups(in_channels: int, groups: int, x: Tensor) -> int:
    """Return the number of groups that is fastest on the device of x."""
    return wider_groups(in_channels, groups, ENOUGH_CHANNELS['cuda' if x.is_cuda else 'cpu'])


def _pairs(x: Tensor, weights: Sequence[Tensor], merged: Sequence[int]) -> List[Tuple[int, int]]:
    """Return pairs of branches to compute as one convolution; others are paired with themselves.

    The branches of a pair have the same groups, so few outputs per group that CPUs would idle, and
    kernels of the same or the next smaller size, which is padded with zeros.
    """
    here = x.device.type == 'cpu' and x.is_contiguous() and not torch.compiler.is_compiling()
    sizes = [w.shape[-1] for w in weights]
    alone = set(range(len(weights)))
    pairs = []
    for difference in (0, 2) if here else ():
        for i, j in combinations(sorted(alone, key=lambda i: -sizes[i]), 2):
            few = merged[i] == merged[j] and len(weights[i]) // merged[i] < 8
            if few and sizes[i] - sizes[j] == difference and {i, j} <= alone:
                pairs.append((i, j))
                alone -= {i, j}
    return [*pairs, *((i, i) for i in alone)]


def _joined(pair: Sequence[Tensor], groups: int) -> Tensor:
    """Return the weight of one convolution whose groups have the outputs of both weights."""
    margins = [(pair[0].shape[-1] - weight.shape[-1]) // 2 for weight in pair]
    padded = [F.pad(weight, (margin,) * 4) for weight, margin in zip(pair, margins)]
    return torch.stack([w.unflatten(0, (groups, -1)) for w in padded], dim=1).flatten(0, 2)
