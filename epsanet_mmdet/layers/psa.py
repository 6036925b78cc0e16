"""Pyramid Squeeze Attention, the convolution of EPSANet (arXiv 2105.14447)."""

from typing import List, Sequence, Tuple

import torch
from torch import Tensor, nn

from ..errors import ArgumentError
from .branch_convs import branch_convs
from .bypass import hooked, may_be_bypassed
from .fused_ops import psa_attention
from .grouped_conv import GroupedConv2d
from .squeeze import SqueezeMLP, branch_attention


class PSAModule(nn.Module):
    """Pyramid Squeeze Attention: a multi-scale convolution weighted by channel attention.

    Every branch ``i`` convolves all input channels with its own kernel size and groups.
    One shared squeeze MLP scores each branch, and a softmax across the branches of the
    sigmoid of these scores weights them:

    ``F_i = conv_i(x)``, ``Z_i = sigmoid(se(gap(F_i)))``, ``A = softmax_i(Z)``,
    output ``[F_n * A_n, ..., F_1 * A_1]``.

    The branches are concatenated in reversed order, as in the authors' released code, and
    the parameters have its names (``conv_1.weight``, ``se.fc1.weight``, ...), so that
    checkpoints trained with it load without conversion.

    Args:
        in_channels: Channels of the input; divisible by every group count.
        out_channels: Channels of the output; divisible by the number of branches, and
            each branch's share by its group count.
        kernel_sizes: Odd kernel size of each branch.
        groups: Convolution groups of each branch.
        stride: Stride of all branches.
        dilation: Dilation of all branches.
        reduction: Reduction ratio of the squeeze MLP.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)),
        for any H, W >= 1.

    Raises:
        ValueError: If a number is less than 1, or the channels, kernel sizes and groups do
            not fit together.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        groups: Sequence[int] = (1, 4, 8, 16),
        stride: int = 1,
        dilation: int = 1,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        _check_at_least_1(
            in_channels=in_channels, out_channels=out_channels, stride=stride, dilation=dilation
        )
        _check_branches(in_channels, out_channels, kernel_sizes, groups)
        branches = len(kernel_sizes)
        width = out_channels // branches
        for i, (kernel_size, group) in enumerate(zip(kernel_sizes, groups), start=1):
            conv = GroupedConv2d(
                in_channels,
                width,
                kernel_size,
                stride=stride,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
                groups=group,
                bias=False,
            )
            self.add_module(f'conv_{i}', conv)
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.se = SqueezeMLP(width, reduction)
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        features = self._features(x)
        return _weigh(features, self._attention(features)).flatten(1, 2)

    def is_plain(self) -> bool:
        """Whether its convolutions and parameters may stand for calling it and its parts."""
        plain = may_be_bypassed(GroupedConv2d, *self.convs) and self._squeezes_plainly()
        return plain and not hooked(self)

    @property
    def convs(self) -> List[GroupedConv2d]:
        """The branches' convolutions, in the output's order."""
        return [getattr(self, f'conv_{i}') for i in range(self.branches, 0, -1)]

    @property
    def conv_options(self) -> Tuple[List[int], int, int]:
        """Groups of each of :attr:`convs`, and the stride and dilation of all."""
        convs = self.convs
        return [conv.groups for conv in convs], convs[0].stride[0], convs[0].dilation[0]

    def features_and_attention(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        """Give both instead of their product, for evaluation, without gradients.

        Returns:
            (B, C', H', W') and (B, C').
        """
        features = self._features(x)
        attention = psa_attention(features, *self.se_parameters)
        return features.flatten(1, 2), attention.flatten(1)

    @property
    def se_parameters(self) -> List[nn.Parameter]:
        """Weights and biases of the squeeze MLP."""
        return [p for conv in (self.se.fc1, self.se.fc2) for p in (conv.weight, conv.bias)]

    def _squeezes_plainly(self) -> bool:
        se = self.se
        return may_be_bypassed(nn.Conv2d, se.fc1, se.fc2) and not hooked(self.gap, se, se.relu)

    def _features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, branches, C' / branches, H', W'), in the output's order."""
        convs = self.convs
        if torch.jit.is_tracing() or not may_be_bypassed(GroupedConv2d, *convs):
            return torch.stack([conv(x) for conv in convs], dim=1)
        return branch_convs(x, [conv.weight for conv in convs], *self.conv_options)

    def _attention(self, features: Tensor) -> Tensor:
        """(B, branches, C, H, W) -> (B, branches, C, 1, 1)."""
        if self._squeezes_plainly():
            return branch_attention(features.mean((3, 4)), *self.se_parameters)[..., None, None]
        scores = self.se(self.gap(features.flatten(0, 1))).unflatten(0, features.shape[:2])
        return scores.sigmoid().softmax(dim=1)


def _weigh(features: Tensor, attention: Tensor) -> Tensor:
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        return features * attention
    if torch.is_grad_enabled():
        return _Weigh.apply(features, attention)
    if features.dtype != attention.dtype:
        return features * attention
    return features.mul_(attention)


class _Weigh(torch.autograd.Function):
    """``features * attention``, which keeps its output for the backward pass, not the features.

    The normalisation that follows keeps the same tensor, so the features take no memory. The
    attention, a softmax over few values in 0..1, is far from zero.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(features: Tensor, attention: Tensor) -> Tensor:
        return features * attention

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        features, attention = inputs
        ctx.save_for_backward(output, attention)
        ctx.dtype = features.dtype

    @staticmethod
    def backward(ctx, grad: Tensor):
        output, attention = ctx.saved_tensors
        products = (grad * output).sum((-2, -1), keepdim=True)
        return (grad * attention).to(ctx.dtype), (products / attention).to(attention.dtype)


def _check_at_least_1(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ArgumentError(f'PSAModule needs {name} of at least 1, but got {name}={value}')


def _check_branches(
    in_channels: int, out_channels: int, kernel_sizes: Sequence[int], groups: Sequence[int]
) -> None:
    if not kernel_sizes or len(kernel_sizes) != len(groups):
        raise ArgumentError(
            f'PSAModule needs one group count per kernel size, but got kernel_sizes='
            f'{tuple(kernel_sizes)} and groups={tuple(groups)}'
        )
    for kernel_size in kernel_sizes:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ArgumentError(
                f'PSAModule needs odd kernel sizes, so that all branches give the same map '
                f'size, but got kernel_sizes={tuple(kernel_sizes)}'
            )
    branches = len(kernel_sizes)
    if out_channels % branches:
        raise ArgumentError(
            f'PSAModule splits its output over {branches} branches: out_channels='
            f'{out_channels} must be divisible by {branches}'
        )
    for group in groups:
        if group < 1 or in_channels % group or out_channels // branches % group:
            raise ArgumentError(
                f'PSAModule cannot use groups={group}: it must divide in_channels='
                f"{in_channels} and each branch's {out_channels // branches} output channels"
            )
