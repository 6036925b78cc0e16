"""What an EPSANet block computes in training on CPUs, in few passes over memory.

Convolutions take the map before its normalisation and compute from that, in the backward pass
again, what they are given: the normalised and rectified map is not saved. All else is of the size
of channels, (B, C), and left to autograd, in double precision.
"""

from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from .affine import AffineGradient, affine, moments
from .bypass import may_be_bypassed
from .fused_ops import pointwise_conv
from .pointwise_gradients import input_gradient, weight_gradient
from .psa import PSAModule
from .squeeze import branch_attention


def is_channel_norm(norm: nn.Module, x: Tensor) -> bool:
    """Whether :class:`ChannelNorm` may stand for calling it, on maps of half the size of x or more."""
    return (
        may_be_bypassed(nn.BatchNorm2d, norm)
        and norm.weight is not None
        and norm.running_mean is not None
        and not (norm.training and x[:, 0, ::2, ::2].numel() < 2)  # which torch refuses
    )


class ChannelNorm:
    """A batch norm as the scale and shift of every channel.

    Args:
        norm: With affine parameters and running statistics.
        psa: If given, the map is its branches' features, to be weighted by their attention first.
    """

    def __init__(self, norm: nn.BatchNorm2d, psa: Optional[PSAModule] = None) -> None:
        self.norm, self.psa = norm, psa
        self.parameters = [norm.weight, norm.bias, *(psa.se_parameters if psa else ())]

    @property
    def needs_moments(self) -> bool:
        return self.norm.training or self.psa is not None

    def __call__(
        self, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, *squeeze: Tensor
    ) -> Tuple[Tensor, ...]:
        """Give scale and shift, (B, C) each, and the mean and variance normalised by, (C,).

        Args:
            mean, variance: Of the map, (B, C).
            weight, bias, squeeze: Values of ``parameters``.
        """
        norm, attention = self.norm, None
        if self.psa is not None:
            branches = mean.unflatten(1, (self.psa.branches, -1))
            attention = branch_attention(branches, *squeeze).flatten(1)
            mean, variance = mean * attention, variance * attention.square()
        centre, spread = norm.running_mean.to(mean), norm.running_var.to(mean)
        if norm.training:
            centre = mean.mean(0)
            spread = (variance + (mean - centre).square()).mean(0)
        scale = weight * (spread + norm.eps).rsqrt()
        shift = bias - scale * centre
        scale = scale if attention is None else scale * attention
        return scale.expand_as(mean), shift.expand_as(mean), centre, spread

    @torch.no_grad()
    def update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Let the running statistics learn from those of a batch of that many values."""
        norm = self.norm
        norm.num_batches_tracked.add_(1)
        momentum = norm.momentum
        if momentum is None:
            momentum = 1 / norm.num_batches_tracked.item()
        norm.running_mean.lerp_(mean.to(norm.running_mean), momentum)
        norm.running_var.lerp_((variance * (count / (count - 1))).to(norm.running_var), momentum)


class _ChannelGraph:
    """What a :class:`ChannelNorm` computed, to be differentiated when the map's passes ask for it."""

    def __init__(self, x: Tensor, norm: ChannelNorm) -> None:
        if norm.needs_moments:
            self.centre, variance = moments(x)
        else:
            self.centre = variance = norm.norm.running_mean.expand(x.shape[:2])
        with torch.enable_grad():
            self.leaves = [
                t.detach().double().requires_grad_()
                for t in (self.centre, variance, *norm.parameters)
            ]
            self.results = norm(*self.leaves)
        self.scale, self.shift, mean, variance = (t.detach().float() for t in self.results)
        self.size = x.shape[2] * x.shape[3]
        if norm.norm.training:
            norm.update(mean, variance, len(x) * self.size)

    def backward(
        self, x: Tensor, grad: Tensor, out: Optional[Tensor], relu: bool, with_add: bool = False
    ) -> Tuple[Tensor, Optional[Tensor], List[Tensor]]:
        """Give the gradients of the map, of what was added to it, and of the norm's parameters."""
        passes = AffineGradient(
            x, self.scale, self.shift, self.centre, out, relu, grad.contiguous()
        )
        sums, centred = (s.double() for s in passes.sums())
        grads = torch.autograd.grad(
            self.results[:2],
            self.leaves,
            (centred + self.centre * sums, sums),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        of_mean, of_variance, *of_parameters = grads
        slope, constant = of_variance * 2 / self.size, of_mean / self.size
        grad_x, grad_add = passes.gradients(slope, constant, with_add)
        return grad_x, grad_add, [g.float() for g in of_parameters]


def _differentiably(x: Tensor, norm: ChannelNorm, parameters: Sequence[Tensor]) -> Tensor:
    """The normalised map in torch's own operations, for gradients of gradients."""
    mean, variance = x.mean((2, 3)), x.var((2, 3), correction=0)
    scale, shift, *_ = norm(*(t.double() for t in (mean, variance, *parameters)))
    return x * scale.float()[..., None, None] + shift.float()[..., None, None]


class _NormReLUConv(Function):
    """A convolution of a map that is normalised and rectified first."""

    @staticmethod
    def forward(ctx, x: Tensor, norm: ChannelNorm, conv, *tensors: Tensor) -> Tensor:
        ctx.graph = _ChannelGraph(x, norm)
        ctx.norm, ctx.conv, ctx.count = norm, conv, len(norm.parameters)
        ctx.save_for_backward(x, *tensors)
        return conv.forward(x, ctx.graph.scale, ctx.graph.shift, tensors[ctx.count :])

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, *tensors = ctx.saved_tensors
        parameters, weights = tensors[: ctx.count], tensors[ctx.count :]
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():
            out = ctx.conv.plain(_differentiably(x, ctx.norm, parameters).relu(), weights)
            return _twice(out, [x, None, None, *tensors], needed, grad)
        graph, learning = ctx.graph, needed[3 + ctx.count :]
        grad, of_weights = ctx.conv.backward(grad, x, graph.scale, graph.shift, weights, learning)
        grad_x, _, of_parameters = graph.backward(x, grad, None, relu=True)
        return grad_x, None, None, *of_parameters, *of_weights


def _twice(out: Tensor, inputs: Sequence[Optional[Tensor]], needed: Sequence[bool], grad: Tensor):
    wanted = [t for t, need in zip(inputs, needed) if need]
    grads = iter(torch.autograd.grad(out, wanted, grad, create_graph=True))
    return tuple(next(grads) if need else None for need in needed)


class _Conv1x1:
    """A 1x1 convolution, for :class:`_NormReLUConv`."""

    @staticmethod
    def forward(x: Tensor, scale: Tensor, shift: Tensor, weights: Sequence[Tensor]) -> Tensor:
        (weight,) = weights
        one, zero = x.new_ones(len(weight)), x.new_zeros(len(weight))
        return pointwise_conv(x, weight, one, zero, in_scale=scale, in_shift=shift[0])

    @staticmethod
    def backward(grad, x, scale, shift, weights, learning) -> Tuple[Tensor, List[Optional[Tensor]]]:
        grad = grad.contiguous()
        of_weight = weight_gradient(grad, affine(x, scale, shift)) if learning[0] else None
        return input_gradient(grad, weights[0]), [of_weight]

    @staticmethod
    def plain(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        return F.conv2d(x, weights[0])


class _Branches:
    """The branches of a PSA module, for :class:`_NormReLUConv`."""

    def __init__(self, psa: PSAModule) -> None:
        self.psa = psa

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor, weights: Sequence[Tensor]) -> Tensor:
        operator = torch.ops.epsanet_mmdet.branch_convs
        return operator(affine(x, scale, shift), weights, *self.psa.conv_options).flatten(1, 2)

    def backward(
        self, grad, x, scale, shift, weights, learning
    ) -> Tuple[Tensor, List[Optional[Tensor]]]:
        grad = grad.unflatten(1, (len(weights), -1))
        operator = torch.ops.epsanet_mmdet.branch_convs_backward
        x, needed = affine(x, scale, shift), [True, *learning]
        grad_x, *of_weights = operator(grad, x, weights, *self.psa.conv_options, needed)
        return grad_x, [g if need else None for g, need in zip(of_weights, learning)]

    def plain(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        groups, stride, dilation = self.psa.conv_options
        features = [
            F.conv2d(x, w, None, stride, dilation * (w.shape[-1] // 2), dilation, g)
            for w, g in zip(weights, groups)
        ]
        return torch.cat(features, dim=1)


class _Norm(Function):
    """A normalised map, to which one may be added, and which may be rectified."""

    @staticmethod
    def forward(
        ctx, x: Tensor, add: Optional[Tensor], norm: ChannelNorm, relu: bool, *parameters: Tensor
    ) -> Tensor:
        ctx.graph, ctx.norm, ctx.relu = _ChannelGraph(x, norm), norm, relu
        out = affine(x, ctx.graph.scale, ctx.graph.shift, add, relu)
        ctx.save_for_backward(x, out if relu else None, *parameters)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, out, *parameters = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():
            grad = grad * (out > 0) if ctx.relu else grad
            normed = _differentiably(x, ctx.norm, parameters)
            inputs = [x, None, None, None, *parameters]
            needed = [need and i != 1 for i, need in enumerate(needed)]
            grad_x, _, *others = _twice(normed, inputs, needed, grad)
            return grad_x, grad, *others
        grad_x, grad_add, of_parameters = ctx.graph.backward(x, grad, out, ctx.relu, needed[1])
        return grad_x, grad_add, None, None, *of_parameters


class _Pointwise(Function):
    """A 1x1 convolution."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        one, zero = x.new_ones(len(weight)), x.new_zeros(len(weight))
        return pointwise_conv(x, weight, one, zero, stride)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        needed, stride = ctx.needs_input_grad, ctx.stride
        if torch.is_grad_enabled():
            return _twice(F.conv2d(x, weight, None, stride), [x, weight, None], needed, grad)
        grad, grad_x, grad_weight = grad.contiguous(), None, None
        if needed[0]:
            grad_x = input_gradient(grad, weight)
            if stride > 1:
                reached, grad_x = grad_x, torch.zeros_like(x)
                grad_x[..., ::stride, ::stride] = reached
        if needed[1]:
            grad_weight = weight_gradient(grad, x[..., ::stride, ::stride].contiguous())
        return grad_x, grad_weight, None


def conv1x1(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A 1x1 convolution: (B, C, H, W) -> (B, out_channels, H', W')."""
    return _Pointwise.apply(x, conv.weight, conv.stride[0])


def norm_relu_conv1x1(x: Tensor, norm: ChannelNorm, conv: nn.Conv2d) -> Tensor:
    """A 1x1 convolution of a map that is normalised and rectified first."""
    return _NormReLUConv.apply(x, norm, _Conv1x1, *norm.parameters, conv.weight)


def norm_relu_branches(x: Tensor, norm: ChannelNorm, psa: PSAModule) -> Tensor:
    """The branches of a PSA module, unweighted, of a map that is normalised and rectified first."""
    weights = [conv.weight for conv in psa.convs]
    return _NormReLUConv.apply(x, norm, _Branches(psa), *norm.parameters, *weights)


def norm_add_relu(
    x: Tensor, norm: ChannelNorm, add: Optional[Tensor] = None, relu: bool = True
) -> Tensor:
    """``relu(norm(x) + add)``."""
    return _Norm.apply(x, add, norm, relu, *norm.parameters)
