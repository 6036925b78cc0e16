"""The weights by which each attention layer multiplies its input, whatever the layer.

They can be broadcast to (B, C, H, W). Most layers return them from ``attention``; the functions
below do what the others need.
"""

from functools import singledispatch

import torch
from mmcv.cnn.bricks import ContextBlock
from torch import Tensor, nn

from .. import layers
from ..layers.aff import MSCAMWeights

QUERIES = 1024  # rows of the matrix of position attention that are built at once


@singledispatch
def attention_of(layer: nn.Module, x: Tensor, output: Tensor) -> Tensor:
    """Return the weights of a layer, which can be broadcast to its input.

    Gates are from 0 to 1. The weights of softmaxes over positions or channels sum to one; they
    are returned relative to equal weights, so that their mean is 1.

    Args:
        layer: A layer for which :func:`has_attention` is true.
        x: Its input, (B, C, H, W).
        output: Its output for this input.

    Raises:
        TypeError: If the layer has no attention.
    """
    raise TypeError(f'{type(layer).__name__} has no attention')


def has_attention(module: nn.Module) -> bool:
    """Return True if :func:`attention_of` knows the layer."""
    return attention_of.dispatch(type(module)) is not attention_of.dispatch(object)


def is_relative(module: nn.Module) -> bool:
    """Return True if the weights of a layer are relative to equal weights, false for gates."""
    return isinstance(module, (layers.ChannelAttention2d, layers.PositionAttention2d, ContextBlock))


@attention_of.register(layers.SELayer2d)
@attention_of.register(layers.ECALayer2d)
@attention_of.register(layers.BidirectionalECA2d)
@attention_of.register(layers.DynamicMultiKernelECA2d)
@attention_of.register(layers.FcaLayer2d)
@attention_of.register(layers.SoftChannelAttention2d)
@attention_of.register(layers.SpatialAttention2d)
@attention_of.register(layers.BAM2d)
def _gate(layer: nn.Module, x: Tensor, output: Tensor) -> Tensor:
    return layer.attention(x)


@attention_of.register
def _fusion(layer: MSCAMWeights, x: Tensor, output: Tensor) -> Tensor:
    return output


@attention_of.register
def _coordinates(layer: layers.CoordAttention2d, x: Tensor, output: Tensor) -> Tensor:
    return torch.mul(*layer.attention(x))


@attention_of.register
def _channels(layer: layers.ChannelAttention2d, x: Tensor, output: Tensor) -> Tensor:
    return layer.attention(x).sum(dim=1)[:, :, None, None]


@attention_of.register
def _positions(layer: layers.PositionAttention2d, x: Tensor, output: Tensor) -> Tensor:
    keys = layer.key_conv(x).flatten(2)
    weights = torch.zeros_like(keys[:, 0])
    for queries in layer.query_conv(x).flatten(2).split(QUERIES, dim=2):
        weights += (queries.transpose(1, 2) @ keys).softmax(dim=2).sum(dim=1)
    return weights.unflatten(1, x.shape[2:]).unsqueeze(1)


@attention_of.register
def _context(layer: ContextBlock, x: Tensor, output: Tensor) -> Tensor:
    if layer.pooling_type == 'avg':
        return torch.ones_like(x[:, :1])
    scores = layer.conv_mask(x)
    return scores.flatten(2).softmax(dim=2).view_as(scores) * scores[0].numel()
