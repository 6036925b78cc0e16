"""Selective depth attention (arXiv 2204.04674)."""

import torch
from torch import Tensor, nn

from ..errors import ArgumentError
from .checks import check_positive
from .norm import NormLayer, PooledBatchNorm2d


class SelectiveDepthAttention2d(nn.Module):
    """Selective depth attention: a sum of maps from several depths, weighted per channel.

    The depths are the blocks of a stage, ``x_1`` to ``x_n``. Their pooled sum decides how much of
    each depth every channel receives:

    ``v = relu(norm(W sum_i gap(x_i)))``, ``A = softmax_i(W_i v + b_i)``, output
    ``sum_i A_i * x_i``.

    The parameters are named as in the authors' code (``fc.0.weight``, ``fcs.0.weight``, ...).

    Args:
        channels: Channels C of every depth.
        depths: Number of depths n.
        reduction: Reduction ratio r.
        min_hidden: Least hidden width; it is ``max(C // r, min_hidden)``.
        norm_layer: Builds the normalisation of the hidden values.

    Shape:
        n of (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If an argument is less than 1, or on a call with another number of depths.
    """

    def __init__(
        self,
        channels: int,
        depths: int,
        reduction: int = 16,
        min_hidden: int = 64,
        norm_layer: NormLayer = PooledBatchNorm2d,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_positive(
            name, channels=channels, depths=depths, reduction=reduction, min_hidden=min_hidden
        )
        hidden = max(channels // reduction, min_hidden)
        self.fc = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), norm_layer(hidden), nn.ReLU(inplace=True)
        )
        self.fcs = nn.ModuleList(nn.Conv2d(hidden, channels, 1) for _ in range(depths))

    def forward(self, *features: Tensor) -> Tensor:
        weights = self.attention(*features).unbind(dim=1)
        return sum(weight * feature for weight, feature in zip(weights, features))

    def attention(self, *features: Tensor) -> Tensor:
        """Return the weights of the depths, (B, depths, C, 1, 1)."""
        if len(features) != len(self.fcs):
            raise ArgumentError(
                f'{type(self).__name__} was built for {len(self.fcs)} depths, but was called with '
                f'{len(features)}'
            )
        hidden = self.fc(sum(feature.mean(dim=(2, 3), keepdim=True) for feature in features))
        # CUDA's autocast computes every softmax in float32.
        scores = torch.stack([fc(hidden) for fc in self.fcs], dim=1)
        return scores.softmax(dim=1).to(features[0].dtype)
