"""A block by torch's own operations, whose gradients can be differentiated again."""

from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import branch_attention
from ..block import BlockParts
from ..merging import library_conv
from ..parts import Normed


def plain_block(parts: BlockParts, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Compute a block by torch's own operations, without updating running statistics."""
    tensors = iter(parameters)
    branches = parts.branches
    count = len(branches.weights)

    def normed(y: Tensor, norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor) -> Tensor:
        statistics = (None, None) if norm.training else (norm.running_mean, norm.running_var)
        return F.batch_norm(y, *statistics, weight, bias, norm.training, 0, norm.eps)

    def conv_norm(y: Tensor, conv: Normed) -> Tensor:
        weight, *of_norm = (next(tensors) for _ in range(3))
        return normed(F.conv2d(y, weight, None, conv.stride), conv.norm, *of_norm)

    y = conv_norm(x, parts.reduce).relu()
    weights = [next(tensors) for _ in range(count)]
    sizes = branches.stride, branches.dilation
    features = torch.stack(
        [library_conv(y, w, g, *sizes, merged=g) for w, g in zip(weights, branches.groups)], dim=1
    )
    squeeze = [next(tensors) for _ in range(4)]
    attention = branch_attention(features.mean((3, 4)), *squeeze)[..., None, None]
    y = (features * attention.to(features.dtype)).flatten(1, 2)
    y = normed(y, parts.norm, next(tensors), next(tensors)).relu()
    y = conv_norm(y, parts.expand)
    return (y + (conv_norm(x, parts.shortcut) if parts.shortcut else x)).relu()
