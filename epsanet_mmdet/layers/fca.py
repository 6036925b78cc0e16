"""Frequency channel attention, FcaNet (arXiv 2012.11879)."""

import math
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ArgumentError
from .se import SqueezeMLP

# The authors' "top16" (vertical, horizontal) frequencies on a 7x7 map, best first.
TOP16 = (
    *((0, 0), (0, 1), (6, 0), (0, 5), (0, 2), (1, 0), (1, 2), (4, 0)),
    *((5, 0), (1, 6), (3, 0), (0, 4), (0, 6), (0, 3), (3, 5), (2, 2)),
)

# Output channels of a ResNet stage -> size of its map for a 224x224 input.
RESNET_DCT_SIZES = {256: 56, 512: 28, 1024: 14, 2048: 7}


class FcaLayer2d(nn.Module):
    """Frequency channel attention: squeeze and excitation with 16 frequencies instead of the mean.

    ``x * sigmoid(W2 relu(W1 dct(x)))``. The channels are split into 16 groups, each pooled with one
    fixed basis function of the two-dimensional discrete cosine transform. A map of another size
    than the basis is average-pooled to it first.

    Args:
        channels: Channels C, a multiple of 16.
        reduction: Reduction ratio of the MLP.
        dct_size: Height and width of the basis, at least 7. By default, the map size of the ResNet
            stage with C output channels: 56, 28, 14 and 7 for 256, 512, 1024 and 2048.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If channels is not a multiple of 16, or dct_size is missing or too small.
    """

    def __init__(self, channels: int, reduction: int = 16, dct_size: Optional[int] = None) -> None:
        super().__init__()
        if channels < 1 or channels % len(TOP16):
            raise ArgumentError(
                f'FcaLayer2d needs a multiple of {len(TOP16)} channels, but got channels={channels}'
            )
        if dct_size is None and channels not in RESNET_DCT_SIZES:
            raise ArgumentError(
                f'FcaLayer2d knows the dct_size of {list(RESNET_DCT_SIZES)} channels, not of '
                f'{channels}; set dct_size to the usual height of the map'
            )
        self.dct_size = RESNET_DCT_SIZES[channels] if dct_size is None else dct_size
        if self.dct_size < 7:
            raise ArgumentError(
                f'FcaLayer2d needs a dct_size of at least 7, but got dct_size={dct_size}'
            )
        # A constant, so it is not saved in checkpoints.
        self.register_buffer('basis', dct_basis(self.dct_size), persistent=False)
        self.mlp = SqueezeMLP(channels, reduction, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the channels, (B, C, 1, 1)."""
        pooled = x
        if x.size(2) != self.dct_size or x.size(3) != self.dct_size:
            pooled = F.adaptive_avg_pool2d(x, (self.dct_size, self.dct_size))
        groups = pooled.unflatten(1, (self.basis.size(0), -1))
        frequencies = torch.einsum('bgchw,ghw->bgc', groups, self.basis)
        return self.mlp(frequencies.flatten(1)[:, :, None, None]).sigmoid()


def dct_basis(size: int) -> Tensor:
    """Return the TOP16 basis functions of a ``size`` x ``size`` map, (16, size, size).

    The frequencies are those of a 7x7 map, scaled by ``size // 7``.
    """
    position = torch.arange(size, dtype=torch.float64) + 0.5
    frequency = torch.tensor(TOP16, dtype=torch.float64) * (size // 7)
    waves = torch.cos(math.pi / size * frequency[:, :, None] * position) / math.sqrt(size)
    waves = torch.where(frequency[:, :, None] > 0, waves * math.sqrt(2), waves)
    return torch.einsum('gh,gw->ghw', waves[:, 0], waves[:, 1]).float()
