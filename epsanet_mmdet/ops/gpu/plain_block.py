"""A block and its gradients by torch's own operations, which can be differentiated again."""

from typing import List, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import branch_attention
from ..block import BlockParts
from ..parts import Normed


def plain_gradients(
    parts: BlockParts,
    x: Tensor,
    parameters: Sequence[Tensor],
    grad: Tensor,
    needed: Sequence[bool],
) -> List[Optional[Tensor]]:
    """Return the gradients of a block by torch's own operations, which can be differentiated."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        out = plain_block(parts, x, parameters)
    inputs, needed = [x, *parameters], [needed[0], *needed[3:]]
    wanted = [t for t, need in zip(inputs, needed) if need]
    grads = iter(torch.autograd.grad(out, wanted, grad.to(out.dtype), create_graph=create_graph))
    return [next(grads) if need else None for need in needed]


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
    features = torch.stack(
        [
            F.conv2d(
                y,
                w,
                None,
                branches.stride,
                branches.dilation * (w.shape[-1] // 2),
                branches.dilation,
                groups,
            )
            for w, groups in zip(weights, branches.groups)
        ],
        dim=1,
    )
    squeeze = [next(tensors) for _ in range(4)]
    attention = branch_attention(features.mean((3, 4)), *squeeze)[..., None, None]
    y = (features * attention.to(features.dtype)).flatten(1, 2)
    y = normed(y, parts.norm, next(tensors), next(tensors)).relu()
    y = conv_norm(y, parts.expand)
    return (y + (conv_norm(x, parts.shortcut) if parts.shortcut else x)).relu()
