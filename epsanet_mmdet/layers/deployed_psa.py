"""Pyramid Squeeze Attention for inference, fused with the batch norm after it."""

from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .emba import SplitPSAModule, split_features
from .fusable import fusable
from .norm import affine_of
from .psa import PSAModule

# Input channels per group above which merging groups is not faster: docs/internals/speed.md.
ENOUGH_CHANNELS = dict(cpu=16, cuda=128)


@fusable
class DeployedPSA(nn.Module):
    """A :class:`PSAModule` fused with the batch norm after it, for inference.

    The batch norm is affine in each channel, ``s y + t``, and PSA weights each channel by its
    attention, ``y = A F``. The output is ``(s A) F + t``, a single pass over the features.

    Args:
        psa: Module whose weights it uses.
        norm: Batch norm with running statistics after it, if any.

    Shape:
        See :class:`PSAModule`.
    """

    attention_type = 'softmax'  # of modules that earlier versions pickled

    def __init__(self, psa: PSAModule, norm: Optional[_BatchNorm] = None) -> None:
        super().__init__()
        split = isinstance(psa, SplitPSAModule)
        self.branches = SplitBranches(psa) if split else PlainBranches(psa)
        self.attention_type = psa.attention_type
        if psa.attention_type != 'none':
            # For single pixels, matrix products are several times faster than convolutions.
            self.scores = nn.Sequential(
                _linear(psa.se.fc1), nn.ReLU(), _linear(psa.se.fc2), nn.Sigmoid()
            )
        channels = psa.branches * psa.conv_1.out_channels
        weight = psa.conv_1.weight
        scale, shift = weight.new_ones(channels), weight.new_zeros(channels)
        if norm is not None:
            scale, shift = affine_of(norm)
        shape = (1, psa.branches, -1, 1, 1)
        self.register_buffer('scale', scale.detach().reshape(shape))
        self.register_buffer('shift', shift.detach().reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.weigh(self.branches(x))

    def weigh(self, features: Tensor) -> Tensor:
        """Weight, scale and shift the branches' features.

        Shape:
            (B, branches, C' / branches, H', W') -> (B, C', H', W').
        """
        weights = self.scale
        if self.attention_type != 'none':
            scores = self.scores(features.mean(dim=(3, 4)))
            if self.attention_type == 'softmax':
                scores = scores.softmax(dim=1)
            weights = scores[..., None, None] * self.scale
        shift, weights = self.shift.to(features.dtype), weights.to(features.dtype)
        return torch.addcmul(shift, features, weights).flatten(1, 2)


class PlainBranches(nn.Module):
    """The convolutions of a :class:`PSAModule` in the order of its output.

    Args:
        psa: Module whose convolutions it uses.

    Shape:
        (B, C, H, W) -> (B, branches, C' / branches, H', W').
    """

    def __init__(self, psa: PSAModule) -> None:
        super().__init__()
        self.convs = nn.ModuleList(psa.convs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([conv(x) for conv in self.convs], dim=1)


class SplitBranches(PlainBranches):
    """The convolutions of a :class:`SplitPSAModule` in the order of its output."""

    def forward(self, x: Tensor) -> Tensor:
        return split_features(self.convs, x)


def wider_groups(in_channels: int, groups: int, enough: int) -> int:
    """Return the number of groups after halving it until each has enough input channels."""
    while groups % 2 == 0 and in_channels // groups < enough:
        groups //= 2
    return groups


def merge_groups(weight: Tensor, groups: int, merged: int) -> Tensor:
    """Return the weight of the same convolution with fewer groups.

    Args:
        weight: (out_channels, in_channels / groups, kh, kw).
        groups: Groups of ``weight``.
        merged: Groups of the result; a divisor of ``groups``.

    Returns:
        Block-diagonal weight (out_channels, in_channels / merged, kh, kw).
    """
    outputs, inputs, height, width = weight.shape
    side = groups // merged
    diagonal = torch.eye(side, dtype=weight.dtype, device=weight.device)
    blocks = weight.view(merged, side, outputs // groups, 1, inputs, height, width)
    merged_blocks = blocks * diagonal.view(1, side, 1, side, 1, 1, 1)
    return merged_blocks.reshape(outputs, side * inputs, height, width)


def split_groups(weight: Tensor, groups: int, merged: int) -> Tensor:
    """Return the weight of a grouped convolution, given that of the same one with merged groups.

    Args:
        weight: (out_channels, in_channels / merged, kh, kw).
        groups: Groups of the result.
        merged: Groups of ``weight``; a divisor of ``groups``.

    Returns:
        (out_channels, in_channels / groups, kh, kw).
    """
    outputs, inputs, height, width = weight.shape
    side = groups // merged
    blocks = weight.view(merged, side, outputs // groups, side, inputs // side, height, width)
    return blocks.diagonal(dim1=1, dim2=3).movedim(-1, 1).reshape(outputs, -1, height, width)


def _linear(conv: nn.Conv2d) -> nn.Linear:
    """Return the linear layer that equals a 1x1 convolution at a single position."""
    linear = nn.Linear(conv.in_channels, conv.out_channels, device='meta')
    linear.weight, linear.bias = nn.Parameter(conv.weight.detach().flatten(1)), conv.bias
    return linear


GroupedConv2d = nn.Conv2d  # the name in pickled models of earlier versions
