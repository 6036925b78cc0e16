"""Blocks and stem of EPSANet on CPUs, in few passes over memory."""

from typing import Optional

import torch
from torch import Tensor

from ...layers.norm import affine_of
from ...models.epsanet import EPSABlock
from ..block import BlockParts, Stem, block_parts
from ..parts import Normed, is_affine, is_complete_norm
from ..support import is_float32_on_cpu, requires_grad
from . import kernels
from .branch_convs import branch_features
from .channel_norm import ChannelNorm
from .evaluation import pointwise_conv, psa_attention, relu_max_pool
from .training import conv1x1, norm_add_relu, norm_relu_branches, norm_relu_conv1x1

LARGE_MAP = 2**21  # values


def block_forward(block: EPSABlock, x: Tensor) -> Optional[Tensor]:
    """Compute a block in four passes, and its gradients in about four more."""
    if not is_float32_on_cpu(x):
        return None
    parts = block_parts(block, x.shape[1])
    if parts is None:
        return None
    tensors, compiles = parts.tensors, torch.compiler.is_compiling()
    needs_grad = requires_grad(x, *tensors)
    # In evaluation, fewer passes of the library are faster, too, if maps do not fit the cache.
    by_library = not (needs_grad or compiles) and x.numel() > LARGE_MAP
    if not (by_library or kernels.instruction_set()) or not is_float32_on_cpu(x, *tensors):
        return None
    if not needs_grad:
        return _evaluate(parts, x) if all(is_affine(norm) for norm, _ in parts.norms) else None
    if compiles or block.with_cp:
        return None
    stride = parts.reduce.stride * parts.branches.stride
    values = len(x) * -(-x.shape[2] // stride) * -(-x.shape[3] // stride)
    learnable = all(is_complete_norm(norm, channels, values) for norm, channels in parts.norms)
    return _train(block, parts, x) if learnable else None


def _evaluate(parts: BlockParts, x: Tensor) -> Tensor:
    identity = x
    if parts.shortcut:
        for pool in parts.pools:
            identity = pool(identity)
        identity = _conv_norm(identity, parts.shortcut)
    out = _conv_norm(x, parts.reduce, relu=True)
    features = branch_features(parts.branches, out)
    attention = psa_attention(features, *parts.squeeze).flatten(1)
    scale, shift = affine_of(parts.norm)
    return _conv_norm(
        features.flatten(1, 2),
        parts.expand,
        relu=True,
        add=identity,
        in_scale=attention * scale,
        in_shift=shift,
    )


def _conv_norm(x: Tensor, normed: Normed, relu: bool = False, **more: Tensor) -> Tensor:
    scale, shift = affine_of(normed.norm)
    return pointwise_conv(x, normed.weight, scale, shift, normed.stride, relu, **more)


def _train(block: EPSABlock, parts: BlockParts, x: Tensor) -> Tensor:
    identity = x
    if parts.shortcut:
        for pool in parts.pools:
            identity = pool(identity)
        identity = conv1x1(identity, parts.shortcut.weight, parts.shortcut.stride)
        identity = norm_add_relu(identity, ChannelNorm(parts.shortcut.norm), relu=False)
    out = conv1x1(x, parts.reduce.weight, parts.reduce.stride)
    out = norm_relu_branches(out, ChannelNorm(parts.reduce.norm), parts.branches)
    norm = ChannelNorm(parts.norm, parts.squeeze, len(parts.branches.weights))
    out = norm_relu_conv1x1(out, norm, parts.expand.weight)
    if out.shape != identity.shape:
        return block.relu(parts.expand.norm(out) + identity)  # torch raises its error
    return norm_add_relu(out, ChannelNorm(parts.expand.norm), identity)


def stem_forward(stem: Stem, x: Tensor) -> Optional[Tensor]:
    """Compute norm, ReLU and pooling of a stem in one pass."""
    if not is_float32_on_cpu(x, *stem.tensors) or not kernels.instruction_set():
        return None
    if not is_affine(stem.norm) or requires_grad(x, *stem.tensors):
        return None
    return relu_max_pool(stem.conv(x), *affine_of(stem.norm))
