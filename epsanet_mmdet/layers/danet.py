"""Dual attention, DANet (arXiv 1809.02983)."""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ArgumentError
from .norm import NormLayer, PooledBatchNorm2d, conv_norm_relu


class PositionAttention2d(nn.Module):
    """Position attention: ``E_j = alpha sum_i softmax_i(B_i . C_j) D_i + A_j``.

    A is the input, and i and j run over its N = H * W positions. B (keys) and C (queries), with
    C/8 channels each, and D (values) are 1x1 convolutions of it, and alpha is learned from 0. The
    N x N map of weights is never built.

    Args:
        channels: Channels of the input, a multiple of 8.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If the channels are not a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 8 or channels % 8:
            raise ArgumentError(
                f'PositionAttention2d needs a multiple of 8 channels, but got channels={channels}'
            )
        self.query_conv = nn.Conv2d(channels, channels // 8, 1)
        self.key_conv = nn.Conv2d(channels, channels // 8, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        # Fused attention needs values as wide as the queries and contiguous vectors. The values
        # are therefore split over 8 heads, which share one query and one key.
        value = _vectors(self.value_conv(x).unflatten(1, (8, -1)))
        query = _vectors(self.query_conv(x).unsqueeze(1)).expand_as(value)
        key = _vectors(self.key_conv(x).unsqueeze(1)).expand_as(value)
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return self.alpha * attended.transpose(2, 3).reshape_as(x) + x


def _vectors(x: Tensor) -> Tensor:
    """(B, heads, C, H, W) -> (B, heads, H * W, C), contiguous."""
    return x.flatten(3).transpose(2, 3).contiguous()


class ChannelAttention2d(nn.Module):
    """Channel attention: ``E_j = beta sum_i softmax_i(A_i . A_j) A_i + A_j``.

    A is the input, i and j run over its channels, and beta is learned from 0.

    Args:
        as_coded: Use the softmax of ``max_i(A_i . A_j) - A_i . A_j``, like the authors' code and
            weights. It prefers dissimilar channels, the paper's formula similar ones.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, as_coded: bool = False) -> None:
        super().__init__()
        self.as_coded = as_coded
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        a = x.flatten(2)
        attended = self.attention(x).to(a.dtype) @ a
        return self.beta * attended.view_as(x) + x

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the channels i in each channel j, (B, j, i)."""
        a = x.flatten(2)
        # Sums over all positions overflow in half precision. Meta tensors have no autocast.
        meta = x.device.type == 'meta'
        with nullcontext() if meta else torch.autocast(x.device.type, enabled=False):
            full = a.to(torch.promote_types(a.dtype, torch.float32))
            energy = full @ full.transpose(1, 2)
        return (-energy if self.as_coded else energy).softmax(dim=2)


class DualAttention2d(nn.Module):
    """Position and channel attention side by side, summed through convolutions.

    Each branch is a 3x3 convolution (C -> C/r), the attention, and another 3x3 convolution. A 1x1
    convolution of their sum has C channels again. The paper adds it after the last stage.

    Args:
        channels: Channels C.
        reduction: Reduction ratio r of the branches; C/r must be a multiple of 8.
        as_coded: Compute the channel attention like the authors' code, see
            :class:`ChannelAttention2d`.
        norm_layer: Builds the normalisations.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If C/r is not a multiple of 8.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 4,
        as_coded: bool = False,
        norm_layer: NormLayer = PooledBatchNorm2d,
    ) -> None:
        super().__init__()
        if reduction < 1 or channels < 1 or channels % (8 * reduction):
            raise ArgumentError(
                f'DualAttention2d needs channels divisible by 8 * reduction, but got '
                f'channels={channels} and reduction={reduction}'
            )
        hidden = channels // reduction

        def branch(attention: nn.Module) -> nn.Sequential:
            return nn.Sequential(
                *conv_norm_relu(channels, hidden, 3, bias=False, norm_layer=norm_layer),
                attention,
                *conv_norm_relu(hidden, hidden, 3, bias=False, norm_layer=norm_layer),
            )

        self.position = branch(PositionAttention2d(hidden))
        self.channel = branch(ChannelAttention2d(as_coded))
        self.fuse = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.position(x) + self.channel(x))
