"""Pyramid Squeeze Attention, the convolution of EPSANet (arXiv 2105.14447)."""

from typing import List, Sequence

import torch
from torch import Tensor, nn

from .checks import check_branches, check_choice, check_positive
from .fusable import fusable
from .se import SqueezeMLP

ATTENTION_TYPES = ('softmax', 'sigmoid', 'none')


@fusable
class PSAModule(nn.Module):
    """Pyramid Squeeze Attention: a multi-scale convolution weighted by channel attention.

    Every branch ``i`` convolves all input channels with its own kernel size and groups. One shared
    squeeze MLP scores each branch, and a softmax over the branches turns the sigmoid of the scores
    into weights:

    ``F_i = conv_i(x)``, ``Z_i = sigmoid(se(gap(F_i)))``, ``A = softmax_i(Z)``,
    output ``[F_n * A_n, ..., F_1 * A_1]``.

    Two simpler forms show what the attention contributes: without the softmax, ``A = Z``, and
    without attention, ``A = 1``, which is a pyramidal convolution (:class:`PyConv2d`).

    The order of the branches is reversed and the parameters are named (``conv_1.weight``,
    ``se.fc1.weight``, ...) as in the authors' released code, so that checkpoints trained with it
    load without conversion.

    This is neither YOLOv10's ``PSA`` or ``C2PSA``, partial self-attention, nor polarized
    self-attention.

    Args:
        in_channels: Channels of the input, a multiple of every group count.
        out_channels: Channels of the output, a multiple of the number of branches. The share of
            each branch must be a multiple of its group count.
        kernel_sizes: Odd kernel size of each branch.
        groups: Convolution groups of each branch.
        stride: Stride of all branches.
        dilation: Dilation of all branches.
        reduction: Reduction ratio of the squeeze MLP.
        attention_type: ``'softmax'``, ``'sigmoid'`` (no softmax) or ``'none'`` (no attention, and
            no squeeze MLP).

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)),
        for any H, W >= 1.

    Raises:
        ArgumentError: If a number is less than 1, the channels, kernel sizes and groups do not
            match, or the type of attention is unknown.
    """

    attention_type = 'softmax'  # of modules that earlier versions pickled

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        groups: Sequence[int] = (1, 4, 8, 16),
        stride: int = 1,
        dilation: int = 1,
        reduction: int = 16,
        attention_type: str = 'softmax',
    ) -> None:
        super().__init__()
        check_positive(
            'PSAModule',
            in_channels=in_channels,
            out_channels=out_channels,
            stride=stride,
            dilation=dilation,
        )
        check_branches('PSAModule', in_channels, out_channels, kernel_sizes, groups)
        check_choice('PSAModule', 'attention_type', attention_type, ATTENTION_TYPES)
        branches = len(kernel_sizes)
        width = out_channels // branches
        for i, (kernel_size, group) in enumerate(zip(kernel_sizes, groups), start=1):
            sizes = kernel_size, stride, dilation * (kernel_size // 2), dilation
            self.add_module(f'conv_{i}', nn.Conv2d(in_channels, width, *sizes, group, bias=False))
        if attention_type != 'none':
            self.gap = nn.AdaptiveAvgPool2d(1)
            self.se = SqueezeMLP(width, reduction)
        self.branches = branches
        self.attention_type = attention_type

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        if self.attention_type == 'none':
            return features.flatten(1, 2)
        return (features * self.attention(features)).flatten(1, 2)

    def features(self, x: Tensor) -> Tensor:
        """Return the features of the branches, (B, branches, out_channels / branches, H', W')."""
        return torch.stack([conv(x) for conv in self.convs], dim=1)

    def attention(self, features: Tensor) -> Tensor:
        """Return the weights of features, (B, branches, out_channels / branches, 1, 1)."""
        if self.attention_type == 'none':
            return torch.ones_like(features[..., :1, :1])
        scores = self.se(self.gap(features.flatten(0, 1))).unflatten(0, (-1, self.branches))
        weights = scores.sigmoid()
        if self.attention_type == 'softmax':
            # CUDA's autocast computes every softmax in float32.
            weights = weights.softmax(dim=1)
        return weights.to(features.dtype)

    @property
    def convs(self) -> List[nn.Conv2d]:
        """Convolutions of the branches, in the order of the output."""
        return [getattr(self, f'conv_{i}') for i in range(self.branches, 0, -1)]
