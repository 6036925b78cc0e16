"""Convolutional block attention module (arXiv 1807.06521)."""

import torch
from torch import Tensor, nn

from ..errors import ArgumentError
from .squeeze import SqueezeMLP


class SoftChannelAttention2d(nn.Module):
    """Channel attention from two poolings: ``x * sigmoid(mlp(gap(x)) + mlp(gmp(x)))``.

    The MLP is shared and has biases, as the authors' code and their parameter counts do.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the MLP.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.mlp = SqueezeMLP(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        maximum = x.amax(dim=(2, 3), keepdim=True)
        return x * (self.mlp(mean) + self.mlp(maximum)).sigmoid()


class SpatialAttention2d(nn.Module):
    """Spatial attention: ``x * sigmoid(conv([mean_c(x), max_c(x)]))``.

    The authors' code stacks the maximum first and normalises after the convolution; the
    paper, followed here, does neither.

    Args:
        kernel_size: Odd size of the convolution.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ValueError: If the kernel size is even.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ArgumentError(
                f'SpatialAttention2d needs an odd kernel size, but got kernel_size={kernel_size}'
            )
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * self.conv(pooled).sigmoid()


class CBAM2d(nn.Module):
    """Soft channel attention, then spatial attention.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the channel attention's MLP.
        kernel_size: Odd kernel size of the spatial attention.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        self.channel = SoftChannelAttention2d(channels, reduction)
        self.spatial = SpatialAttention2d(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.spatial(self.channel(x))
