"""Batch normalisation that also trains where a batch gives a single value per channel."""

import torch.nn.functional as F
from torch import Tensor, nn


class PooledBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d for maps that may be as small as 1x1, such as globally pooled ones.

    A single value per channel (batch size 1) has no variance to normalise by: there torch
    raises. Here it is normalised by the running statistics, as in evaluation, which it then
    leaves alone. With two or more values this is ``nn.BatchNorm2d``. SyncBN conversion
    replaces it as it replaces any batch norm.

    Args:
        num_features: Channels C.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)

    def forward(self, x: Tensor) -> Tensor:
        batch_statistics = self.training and x.numel() > x.size(1)
        if batch_statistics:
            self.num_batches_tracked.add_(1)
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            batch_statistics,
            self.momentum,
            self.eps,
        )


def conv_norm_relu(
    channels: int, out_channels: int, kernel_size: int, dilation: int = 1, bias: bool = True
) -> tuple[nn.Module, ...]:
    """Convolution that keeps the map's size, normalisation and ReLU."""
    padding = dilation * (kernel_size // 2)
    return (
        nn.Conv2d(
            channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=bias
        ),
        PooledBatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
