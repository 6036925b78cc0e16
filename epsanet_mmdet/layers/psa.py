"""Pyramid Squeeze Attention, the convolution of EPSANet (arXiv 2105.14447)."""

from typing import List, Sequence

import torch
from torch import Tensor, nn

from ..errors import ArgumentError
from .fusable import fusable
from .squeeze import SqueezeMLP


@fusable
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
            conv = nn.Conv2d(
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
        features = torch.stack([conv(x) for conv in self.convs], dim=1)
        scores = self.se(self.gap(features.flatten(0, 1))).unflatten(0, (-1, self.branches))
        # Under CUDA's autocast, a softmax returns float32 whatever it is given.
        attention = scores.sigmoid().softmax(dim=1).to(features.dtype)
        return (features * attention).flatten(1, 2)

    @property
    def convs(self) -> List[nn.Conv2d]:
        """Convolutions of the branches, in the order of the output."""
        return [getattr(self, f'conv_{i}') for i in range(self.branches, 0, -1)]


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
