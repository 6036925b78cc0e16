"""Pyramid squeeze attention for inference, with the batch norm that follows it."""

from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..layers import PSAModule
from ..layers.branch_convs import branch_convs
from ..layers.norm import affine_of
from .plain import merged_conv, plain_linear


class DeployedPSA(nn.Module):
    """A :class:`PSAModule` and the batch norm after it as one, for inference.

    The batch norm is affine in each channel, ``s y + t``, and PSA weights each channel with its
    attention, ``y = A F``. So the output is ``(s A) F + t``: one pass over the features.

    Args:
        psa: Module to take the weights from.
        norm: Batch norm with running statistics that follows it, if any.
        own_kernels: Keep the package's own convolutions rather than plain ones.

    Shape:
        As of :class:`PSAModule`.
    """

    def __init__(
        self, psa: PSAModule, norm: Optional[_BatchNorm] = None, own_kernels: bool = False
    ) -> None:
        super().__init__()
        self.branches = OwnBranches(psa) if own_kernels else PlainBranches(psa)
        # On single pixels, convolutions cost several times what matrices do.
        self.scores = nn.Sequential(
            plain_linear(psa.se.fc1), nn.ReLU(), plain_linear(psa.se.fc2), nn.Sigmoid()
        )
        channels = psa.branches * psa.conv_1.out_channels
        scale, shift = psa.conv_1.weight.new_tensor([1.0, 0.0]).expand(channels, 2).unbind(1)
        if norm is not None:
            scale, shift = affine_of(norm)
        shape = (1, psa.branches, -1, 1, 1)
        self.register_buffer('scale', scale.detach().reshape(shape))
        self.register_buffer('shift', shift.detach().reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        features = self.branches(x)
        scores = self.scores(features.mean(dim=(3, 4)))
        attention = scores.softmax(dim=1)[..., None, None] * self.scale
        return torch.addcmul(self.shift, features, attention).flatten(1, 2)


class PlainBranches(nn.Module):
    """The convolutions of a :class:`PSAModule`, plain ones, in the order of its output.

    Args:
        psa: Module to take the weights from.

    Shape:
        (B, C, H, W) -> (B, branches, C' / branches, H', W').
    """

    def __init__(self, psa: PSAModule) -> None:
        super().__init__()
        order = range(psa.branches, 0, -1)
        self.convs = nn.ModuleList(merged_conv(getattr(psa, f'conv_{i}')) for i in order)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([conv(x) for conv in self.convs], dim=1)


class OwnBranches(nn.Module):
    """The convolutions of a :class:`PSAModule`, computed as it computes them.

    Args:
        psa: Module to take the weights from.

    Shape:
        (B, C, H, W) -> (B, branches, C' / branches, H', W').
    """

    def __init__(self, psa: PSAModule) -> None:
        super().__init__()
        convs = [getattr(psa, f'conv_{i}') for i in range(psa.branches, 0, -1)]
        self.weights = nn.ParameterList(conv.weight for conv in convs)
        self.groups = [conv.groups for conv in convs]
        self.stride, self.dilation = convs[0].stride[0], convs[0].dilation[0]

    def forward(self, x: Tensor) -> Tensor:
        return branch_convs(x, list(self.weights), self.groups, self.stride, self.dilation)
