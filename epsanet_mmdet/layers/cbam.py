"""Convolutional block attention module (arXiv 1807.06521)."""

import torch
from torch import Tensor, nn

from .checks import check_odd
from .norm import NormLayer, PooledBatchNorm2d
from .se import SqueezeMLP


class SoftChannelAttention2d(nn.Module):
    """Channel attention from two poolings: ``x * sigmoid(mlp(gap(x)) + mlp(gmp(x)))``.

    The MLP is shared and has biases, as in the authors' code and parameter counts.

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
        return x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the channels, (B, C, 1, 1)."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        maximum = x.amax(dim=(2, 3), keepdim=True)
        return (self.mlp(mean) + self.mlp(maximum)).sigmoid()


class SpatialAttention2d(nn.Module):
    """Spatial attention: ``x * sigmoid(conv([mean_c(x), max_c(x)]))``.

    Args:
        kernel_size: Odd size of the convolution.
        as_coded: Stack the maximum first and normalise after the convolution, like the authors'
            code and weights; the paper does neither.
        norm_layer: Builds that normalisation; the authors use batch norm with momentum 0.01.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If the kernel size is even.
    """

    def __init__(
        self,
        kernel_size: int = 7,
        as_coded: bool = False,
        norm_layer: NormLayer = PooledBatchNorm2d,
    ) -> None:
        super().__init__()
        check_odd('SpatialAttention2d', kernel_size)
        self.as_coded = as_coded
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = norm_layer(1) if as_coded else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the positions, (B, 1, H, W)."""
        mean, maximum = x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
        pooled = torch.cat([maximum, mean] if self.as_coded else [mean, maximum], dim=1)
        return self.norm(self.conv(pooled)).sigmoid()


class CBAM2d(nn.Module):
    """Soft channel attention, then spatial attention.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the channel attention's MLP.
        kernel_size: Odd kernel size of the spatial attention.
        as_coded: Compute the spatial attention like the authors' code, see
            :class:`SpatialAttention2d`.
        norm_layer: Builds the normalisation of the spatial attention, see there.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        kernel_size: int = 7,
        as_coded: bool = False,
        norm_layer: NormLayer = PooledBatchNorm2d,
    ) -> None:
        super().__init__()
        self.as_coded = as_coded
        self.channel = SoftChannelAttention2d(channels, reduction)
        self.spatial = SpatialAttention2d(kernel_size, as_coded, norm_layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.spatial(self.channel(x))
