"""Parts of EPSANet blocks in training on CPUs, in few passes over memory.

Convolutions receive the map before its normalisation. They compute the normalised and rectified map
from it, and again in the backward pass, so that it is not saved. Everything else is as small as the
channels, (B, C).
"""

from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from ..merging import library_conv
from ..parts import Branches
from ..support import gradient_is_observed, modes_observe, plain_gradients
from .affine import affine
from .branch_convs import branch_convs, branch_convs_backward
from .channel_norm import ChannelNorm, NormedMap
from .pointwise import pointwise, weight_gradient


class _NormReLUConv(Function):
    """A convolution after normalisation and ReLU."""

    @staticmethod
    def forward(ctx, x: Tensor, norm: ChannelNorm, conv, *tensors: Tensor) -> Tensor:
        ctx.normed, ctx.conv, ctx.count = NormedMap(x, norm), conv, len(norm.parameters)
        ctx.save_for_backward(x, *tensors)
        return conv.forward(x, ctx.normed.scale, ctx.normed.shift, tensors[ctx.count :])

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, *tensors = ctx.saved_tensors
        parameters, weights = tensors[: ctx.count], tensors[ctx.count :]
        needed = ctx.needs_input_grad
        if gradient_is_observed(grad) or modes_observe():
            norm, conv = ctx.normed.norm, ctx.conv
            return plain_gradients(
                lambda: conv.plain(norm.plain(x, *parameters).relu(), weights),
                [x, None, None, *tensors],
                needed,
                grad,
            )
        normed, learning = ctx.normed, needed[3 + ctx.count :]
        grad, of_weights = ctx.conv.backward(
            grad.contiguous(), x, normed.scale, normed.shift, weights, learning
        )
        grad_x, _, of_parameters = normed.backward(x, grad, parameters)
        return grad_x, None, None, *of_parameters, *of_weights


class _Conv1x1:
    """A 1x1 convolution, for :class:`_NormReLUConv`."""

    @staticmethod
    def forward(x: Tensor, scale: Tensor, shift: Tensor, weights: Sequence[Tensor]) -> Tensor:
        return pointwise(x, weights[0], in_scale=scale, in_shift=shift[0])

    @staticmethod
    def backward(grad, x, scale, shift, weights, learning) -> Tuple[Tensor, List[Optional[Tensor]]]:
        of_weight = weight_gradient(grad, affine(x, scale, shift)) if learning[0] else None
        return pointwise(grad, weights[0], transposed=True), [of_weight]

    @staticmethod
    def plain(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        return F.conv2d(x, weights[0])


class _Branches:
    """The branches of a PSA module, for :class:`_NormReLUConv`."""

    def __init__(self, branches: Branches) -> None:
        self.options = branches[1:]

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor, weights: Sequence[Tensor]) -> Tensor:
        return branch_convs(affine(x, scale, shift), weights, *self.options).flatten(1, 2)

    def backward(
        self, grad, x, scale, shift, weights, learning
    ) -> Tuple[Tensor, List[Optional[Tensor]]]:
        grad = grad.unflatten(1, (len(weights), -1))
        x, needed = affine(x, scale, shift), [True, *learning]
        grad_x, *of_weights = branch_convs_backward(grad, x, weights, *self.options, needed)
        return grad_x, [g if need else None for g, need in zip(of_weights, learning)]

    def plain(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        groups, *sizes = self.options
        features = [library_conv(x, w, g, *sizes, merged=g) for w, g in zip(weights, groups)]
        return torch.cat(features, dim=1)


class _Norm(Function):
    """A norm, an optional addition and an optional ReLU."""

    @staticmethod
    def forward(
        ctx, x: Tensor, add: Optional[Tensor], norm: ChannelNorm, relu: bool, *parameters: Tensor
    ) -> Tensor:
        ctx.normed, ctx.relu = NormedMap(x, norm), relu
        out = affine(x, ctx.normed.scale, ctx.normed.shift, add, relu)
        ctx.save_for_backward(x, out if relu else None, *parameters)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, out, *parameters = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if gradient_is_observed(grad) or modes_observe():
            grad = grad * (out > 0) if ctx.relu else grad
            norm, inputs = ctx.normed.norm, [x, None, None, None, *parameters]
            of_norm = [need and i != 1 for i, need in enumerate(needed)]
            grad_x, _, *others = plain_gradients(
                lambda: norm.plain(x, *parameters), inputs, of_norm, grad
            )
            return grad_x, grad if needed[1] else None, *others
        grad_x, grad_add, of_parameters = ctx.normed.backward(
            x, grad.contiguous(), parameters, out, ctx.relu, with_add=needed[1]
        )
        return grad_x, grad_add, None, None, *of_parameters


class _Pointwise(Function):
    """A 1x1 convolution."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return pointwise(x, weight, stride=stride)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        needed, stride = ctx.needs_input_grad, ctx.stride
        if gradient_is_observed(grad) or modes_observe():
            return plain_gradients(
                lambda: F.conv2d(x, weight, None, stride), [x, weight, None], needed, grad
            )
        grad, grad_x, grad_weight = grad.contiguous(), None, None
        if needed[0]:
            grad_x = pointwise(grad, weight, transposed=True)
            if stride > 1:
                reached, grad_x = grad_x, torch.zeros_like(x)
                grad_x[..., ::stride, ::stride] = reached
        if needed[1]:
            grad_weight = weight_gradient(grad, x[..., ::stride, ::stride].contiguous())
        return grad_x, grad_weight, None


def conv1x1(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Apply a 1x1 convolution: (B, C, H, W) -> (B, out_channels, H', W')."""
    return _Pointwise.apply(x, weight, stride)


def norm_relu_conv1x1(x: Tensor, norm: ChannelNorm, weight: Tensor) -> Tensor:
    """Apply a norm, a ReLU and a 1x1 convolution."""
    return _NormReLUConv.apply(x.contiguous(), norm, _Conv1x1, *norm.parameters, weight)


def norm_relu_branches(x: Tensor, norm: ChannelNorm, branches: Branches) -> Tensor:
    """Apply a norm, a ReLU and the branches of a PSA module, without their attention."""
    conv = _Branches(branches)
    return _NormReLUConv.apply(x.contiguous(), norm, conv, *norm.parameters, *branches.weights)


def norm_add_relu(
    x: Tensor, norm: ChannelNorm, add: Optional[Tensor] = None, relu: bool = True
) -> Tensor:
    """Return ``relu(norm(x) + add)``."""
    add = None if add is None else add.contiguous()
    return _Norm.apply(x.contiguous(), add, norm, relu, *norm.parameters)
