"""Batch normalisation of single values and over CPU processes, and what layers build on it."""

from typing import Callable, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class PooledBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d for maps as small as 1x1, such as globally pooled ones.

    A single value per channel (batch size 1) has no variance, and torch raises an error. Here, it
    is normalised by the running statistics, as in evaluation mode, without updating them. For two
    or more values, this is ``nn.BatchNorm2d``. SyncBN conversion replaces it like any batch norm.

    The arguments are those of ``nn.BatchNorm2d``.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.size(1):
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class CPUSyncBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes, on CPUs too.

    ``nn.SyncBatchNorm``, which is faster on GPUs, does not work on CPUs. All processes of the
    default group must take part. In one process and in evaluation mode, this is
    ``nn.BatchNorm2d``.

    Args:
        num_features: Channels C.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def forward(self, x: Tensor) -> Tensor:
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not (several and self.training):
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce  # absent where not available

        count = x.new_tensor([x.numel() / x.size(1)])
        total = all_reduce(torch.cat([x.sum((0, 2, 3)), count]))
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = x - mean[:, None, None]
        var = all_reduce(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1).clamp(min=1), self.momentum)
        scale = self.weight * (var + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]


# Number of channels -> normalisation; the layers' argument ``norm_layer``.
NormLayer = Callable[[int], nn.Module]


def conv_norm_relu(
    channels: int,
    out_channels: int,
    kernel_size: int,
    dilation: int = 1,
    bias: bool = True,
    norm_layer: NormLayer = PooledBatchNorm2d,
) -> tuple[nn.Module, ...]:
    """Return a convolution that keeps the size of the map, its normalisation and a ReLU."""
    padding = dilation * (kernel_size // 2)
    return (
        nn.Conv2d(
            channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=bias
        ),
        norm_layer(out_channels),
        nn.ReLU(inplace=True),
    )


def affine_of(norm: _BatchNorm) -> Tuple[Tensor, Tensor]:
    """Return the scale and shift, (C,) each, that a batch norm applies in evaluation mode."""
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias
