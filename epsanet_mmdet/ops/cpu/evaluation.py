"""Operators of EPSANet in evaluation mode on CPUs, in few passes over memory.

They have no gradients. Without our kernels, or for tensors that these do not support, they use
torch's operations, which raise torch's errors.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention import branch_attention
from . import kernels
from .operators import operator
from .pointwise import output_shape, pointwise


@operator(
    lambda x, weight, scale, shift, stride=1, *_: x.new_empty(output_shape(x, len(weight), stride))
)
def pointwise_conv(
    x: Tensor,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    stride: int = 1,
    relu: bool = False,
    add: Optional[Tensor] = None,
    in_scale: Optional[Tensor] = None,
    in_shift: Optional[Tensor] = None,
) -> Tensor:
    """Return ``relu(scale * (weight @ x) + shift + add)``, a 1x1 convolution and what follows it.

    Args:
        x: (B, C, H, W).
        weight: (out_channels, C, 1, 1).
        scale: (out_channels,).
        shift: (out_channels,).
        stride: Stride.
        relu: Apply a ReLU to the result.
        add: (B, out_channels, H', W').
        in_scale: (B, C); with it and in_shift, x is replaced by ``relu(in_scale * x + in_shift)``.
        in_shift: (C,).

    Returns:
        (B, out_channels, ceil(H / stride), ceil(W / stride)).
    """
    in_shift = in_shift if in_scale is not None else None
    tensors = (x, weight, scale, shift, add, in_scale, in_shift)
    if (
        kernels.supports(*tensors)
        and x.dim() == 4
        and x.numel()
        and weight.numel()
        and (add is None or add.shape == output_shape(x, len(weight), stride))
    ):
        return pointwise(x, weight, scale, shift, stride, relu, add, in_scale, in_shift)
    if in_scale is not None:
        x = torch.addcmul(in_shift[:, None, None], x, in_scale[..., None, None]).relu_()
    out = _scaled_conv(x, weight, scale, shift, stride)
    out = out if add is None else out.add_(add)
    return out.relu_() if relu else out


def _scaled_conv(x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, stride: int) -> Tensor:
    pixels = x.shape[0] * x.shape[2] * x.shape[3] // stride**2
    if pixels > weight.shape[1]:  # otherwise the weight is larger than the map
        return F.conv2d(x, weight * scale[:, None, None, None], shift, stride)
    out = F.conv2d(x, weight, None, stride)
    return torch.addcmul(shift[:, None, None], out, scale[:, None, None], out=out)


def _pooled_shape(x: Tensor) -> tuple:
    return (*x.shape[:2], *[(side + 1) // 2 for side in x.shape[2:]])


@operator(lambda x, *_: x.new_empty(_pooled_shape(x)))
def relu_max_pool(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return the 3x3 max pooling of ``relu(scale * x + shift)`` with stride 2 and padding 1.

    Args:
        x: (B, C, H, W).
        scale: (C,).
        shift: (C,).

    Returns:
        (B, C, ceil(H / 2), ceil(W / 2)).
    """
    if not kernels.supports(x, scale, shift) or x.dim() != 4 or x.numel() == 0:
        x = torch.addcmul(shift[:, None, None], x, scale[:, None, None]).relu_()
        return F.max_pool2d(x, 3, 2, 1)
    x, scale, shift = x.contiguous(), scale.contiguous(), shift.contiguous()
    out = kernels.fresh(x, *_pooled_shape(x))
    numbers = [
        kernels.address(x, *x.shape),
        *(*x.shape, torch.get_num_threads()),
        *(kernels.address(t, x.shape[1]) for t in (scale, shift)),
        kernels.address(out, *_pooled_shape(x)),
        *out.shape[2:],
    ]
    kernels.call('max_pool', numbers)
    return out


@operator(lambda features, *_: features.new_empty(features.shape[:3]))
def psa_attention(
    features: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    """Return :func:`branch_attention` of the global means of (B, branches, C, H, W)."""
    squeeze = (weight1, bias1, weight2, bias2)
    if not kernels.supports(features, *squeeze) or features.dim() != 5 or features.numel() == 0:
        return branch_attention(features.mean((3, 4)), *squeeze)
    features = features.contiguous()
    weight1, bias1, weight2, bias2 = (t.contiguous() for t in squeeze)
    out = features.new_empty(features.shape[:3])
    channels, hidden, address = features.shape[2], weight1.shape[0], kernels.address
    numbers = [
        address(features, *features.shape),
        *(*out.shape, features.shape[3] * features.shape[4], torch.get_num_threads()),
        *(address(weight1, hidden, channels, 1, 1), address(bias1, hidden)),
        *(address(weight2, channels, hidden, 1, 1), address(bias2, channels)),
        *(address(out, *features.shape[:3]), hidden),
    ]
    kernels.call('attention', numbers)
    return out
