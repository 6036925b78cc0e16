"""What an EPSANet computes in evaluation on CPUs, in few passes over memory, as operators of torch.

There are no gradients. Where our own kernels are missing or do not take the tensors, the
operators compute the same by torch's own operations, or raise their error.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention import branch_attention
from ..support import fits
from . import kernels
from .pointwise import output_shape, pointwise

torch.library.define(
    'epsanet_mmdet::pointwise_conv',
    '(Tensor x, Tensor weight, Tensor scale, Tensor shift, int stride, bool relu,'
    ' Tensor? add=None, Tensor? in_scale=None, Tensor? in_shift=None) -> Tensor',
    tags=torch.Tag.pt2_compliant_tag,
)
torch.library.define(
    'epsanet_mmdet::relu_max_pool',
    '(Tensor x, Tensor scale, Tensor shift) -> Tensor',
    tags=torch.Tag.pt2_compliant_tag,
)
torch.library.define(
    'epsanet_mmdet::psa_attention',
    '(Tensor features, Tensor weight1, Tensor bias1, Tensor weight2, Tensor bias2) -> Tensor',
    tags=torch.Tag.pt2_compliant_tag,
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
        relu: Whether to rectify the result.
        add: (B, out_channels, H', W').
        in_scale: (B, C); with it and in_shift, x becomes ``relu(in_scale * x + in_shift)`` first.
        in_shift: (C,).

    Returns:
        (B, out_channels, ceil(H / stride), ceil(W / stride)).
    """
    return torch.ops.epsanet_mmdet.pointwise_conv(
        x, weight, scale, shift, stride, relu, add, in_scale, in_shift
    )


def relu_max_pool(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Pool ``relu(scale * x + shift)`` to the maximum of 3x3 with stride 2 and padding 1.

    Args:
        x: (B, C, H, W).
        scale: (C,).
        shift: (C,).

    Returns:
        (B, C, ceil(H / 2), ceil(W / 2)).
    """
    return torch.ops.epsanet_mmdet.relu_max_pool(x, scale, shift)


def psa_attention(
    features: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    """As :func:`branch_attention`, of the global means of features (B, branches, C, H, W)."""
    return torch.ops.epsanet_mmdet.psa_attention(features, weight1, bias1, weight2, bias2)


@torch.library.impl('epsanet_mmdet::pointwise_conv', 'cpu')
def _(x, weight, scale, shift, stride, relu, add=None, in_scale=None, in_shift=None):
    tensors = (x, weight, scale, shift, add, in_scale, in_shift)
    if kernels.takes(*tensors) and _is_pointwise(*tensors, stride):
        return pointwise(x, weight, scale, shift, stride, relu, add, in_scale, in_shift)
    if in_scale is not None:
        x = torch.addcmul(in_shift[:, None, None], x, in_scale[..., None, None]).relu_()
    out = _scaled_conv(x, weight, scale, shift, stride)
    out = out if add is None else out.add_(add)
    return out.relu_() if relu else out


def _is_pointwise(x, weight, scale, shift, add, in_scale, in_shift, stride: int) -> bool:
    if not (x.dim() == 4 and x.numel() and weight.numel() and stride >= 1):
        return False
    batch, channels = x.shape[:2]
    outputs = weight.shape[0]
    given = in_scale is not None
    return (
        fits(weight, outputs, channels, 1, 1)
        and fits(scale, outputs)
        and fits(shift, outputs)
        and (add is None or fits(add, *output_shape(x, outputs, stride)))
        and (not given or fits(in_scale, batch, channels))
        and (fits(in_shift, channels) if given else in_shift is None)
    )


@torch.library.impl('epsanet_mmdet::relu_max_pool', 'cpu')
def _(x, scale, shift):
    if not (
        kernels.takes(x, scale, shift)
        and x.dim() == 4
        and x.numel()
        and fits(scale, x.shape[1])
        and fits(shift, x.shape[1])
    ):
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


@torch.library.impl('epsanet_mmdet::psa_attention', 'cpu')
def _(features, *squeeze):
    if not (
        kernels.takes(features, *squeeze)
        and features.dim() == 5
        and features.numel()
        and _is_squeeze(features.shape[2], *squeeze)
    ):
        return branch_attention(features.mean((3, 4)), *squeeze)
    features = features.contiguous()
    weight1, bias1, weight2, bias2 = (t.contiguous() for t in squeeze)
    out = features.new_empty(features.shape[:3])
    (channels, hidden), address = weight2.shape[:2], kernels.address
    numbers = [
        address(features, *features.shape),
        *(*out.shape, features.shape[3] * features.shape[4], torch.get_num_threads()),
        *(address(weight1, hidden, channels, 1, 1), address(bias1, hidden)),
        *(address(weight2, channels, hidden, 1, 1), address(bias2, channels)),
        *(address(out, *features.shape[:3]), hidden),
    ]
    kernels.call('attention', numbers)
    return out


def _is_squeeze(channels: int, weight1, bias1, weight2, bias2) -> bool:
    hidden = weight1.shape[0]
    return (
        fits(weight1, hidden, channels, 1, 1)
        and fits(bias1, hidden)
        and fits(weight2, channels, hidden, 1, 1)
        and fits(bias2, channels)
    )


def _scaled_conv(x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, stride: int) -> Tensor:
    pixels = x.shape[0] * x.shape[2] * x.shape[3] // stride**2
    if pixels > weight.shape[1]:  # else the weight is the larger of the two that may be scaled
        return F.conv2d(x, weight * scale[:, None, None, None], shift, stride)
    out = F.conv2d(x, weight, None, stride)
    return torch.addcmul(shift[:, None, None], out, scale[:, None, None], out=out)


def _pooled_shape(x: Tensor) -> tuple:
    return (*x.shape[:2], *[(side + 1) // 2 for side in x.shape[2:]])


@torch.library.register_fake('epsanet_mmdet::pointwise_conv')
def _(x, weight, scale, shift, stride, relu, add=None, in_scale=None, in_shift=None):
    return x.new_empty(output_shape(x, len(weight), stride))


@torch.library.register_fake('epsanet_mmdet::relu_max_pool')
def _(x, scale, shift):
    return x.new_empty(_pooled_shape(x))


@torch.library.register_fake('epsanet_mmdet::psa_attention')
def _(features, weight1, bias1, weight2, bias2):
    return features.new_empty(features.shape[:3])
