"""Blocks and stem of EPSANet on CPUs, in few passes over memory."""

from typing import Iterator, List, NamedTuple, Optional, Tuple

import torch
from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from ..layers import PSAModule
from ..layers.norm import affine_of
from ..models import EPSANet
from ..models.epsanet import EPSABlock
from .cpu import kernels
from .cpu.channel_norm import ChannelNorm
from .cpu.evaluation import pointwise_conv, psa_attention, relu_max_pool
from .cpu.training import conv1x1, norm_add_relu, norm_relu_branches, norm_relu_conv1x1
from .parts import (
    Branches,
    Normed,
    branches_of,
    is_affine,
    is_complete_norm,
    norm_tensors,
    normed_of,
    squeeze_of,
)
from .psa import branch_features
from .support import FORWARDS, accelerates, is_float32_on_cpu, may_be_bypassed, requires_grad

LARGE_MAP = 2**21  # values
FORWARDS.update({cls: cls.forward for cls in (Bottleneck, ResNet)})


class _Parts(NamedTuple):
    """The parts of a block, in order; ``pools`` come before the shortcut."""

    reduce: Normed
    branches: Branches
    squeeze: List[Tensor]
    norm: nn.BatchNorm2d
    expand: Normed
    pools: List[nn.Module]
    shortcut: Optional[Normed]

    @property
    def norms(self) -> Iterator[Tuple[nn.BatchNorm2d, int]]:
        """Norms, each with its channels."""
        yield self.norm, self.expand.weight.shape[1]
        for normed in (self.reduce, self.expand, self.shortcut):
            if normed:
                yield normed.norm, normed.channels

    @property
    def tensors(self) -> List[Optional[Tensor]]:
        """Parameters and buffers."""
        tensors = [*self.branches.weights, *self.squeeze, self.reduce.weight, self.expand.weight]
        if self.shortcut:
            tensors += [self.shortcut.weight, *(p for m in self.pools for p in m.parameters())]
        for norm, _ in self.norms:
            tensors += norm_tensors(norm)
        return tensors


@accelerates(EPSABlock)
def block_forward(block: EPSABlock, x: Tensor) -> Optional[Tensor]:
    """Compute a block in four passes, and its gradients in about four more."""
    if Bottleneck.forward is not FORWARDS[Bottleneck] or type(block) is not EPSABlock:
        return None
    if not is_float32_on_cpu(x) or x.dim() != 4 or x.numel() == 0 or block.plugins:
        return None
    parts = _parts_of(block, x.shape[1])
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


def _parts_of(block: EPSABlock, channels: int) -> Optional[_Parts]:
    """Return the parts of a block for so many input channels, or None if they must be called."""
    psa, norm, downsample = block.conv2, block.norm2, block.downsample
    if not may_be_bypassed(PSAModule, psa) or not may_be_bypassed(nn.ReLU, block.relu):
        return None
    branches = branches_of(psa.convs)
    squeeze = None if branches is None else squeeze_of(psa, branches.width)
    if squeeze is None or not may_be_bypassed(nn.BatchNorm2d, norm):
        return None
    reduce = normed_of(block.conv1, block.norm1, channels)
    expand = normed_of(block.conv3, block.norm3, branches.width * psa.branches)
    if not (reduce and expand) or (reduce.channels, expand.stride) != (branches.in_channels, 1):
        return None
    if downsample is None:
        fits = expand.channels == channels and reduce.stride * branches.stride == 1
        return _Parts(reduce, branches, squeeze, norm, expand, [], None) if fits else None
    *pools, conv, shortcut_norm = downsample
    shortcut = normed_of(conv, shortcut_norm, channels)
    if not shortcut or not may_be_bypassed(nn.Sequential, downsample):
        return None
    fits = expand.channels == shortcut.channels
    return _Parts(reduce, branches, squeeze, norm, expand, pools, shortcut) if fits else None


def _evaluate(parts: _Parts, x: Tensor) -> Tensor:
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


def _train(block: EPSABlock, parts: _Parts, x: Tensor) -> Tensor:
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


@accelerates(EPSANet)
def network_forward(network: EPSANet, x: Tensor) -> Optional[Tuple[Tensor, ...]]:
    """Compute norm, ReLU and pooling of the stem in one pass, and call the stages."""
    if ResNet.forward is not FORWARDS[ResNet] or type(network) is not EPSANet:
        return None
    if network.deep_stem or not is_float32_on_cpu(x) or not kernels.instruction_set():
        return None
    conv, norm, pool = network.conv1, network.norm1, network.maxpool
    if not (
        may_be_bypassed(nn.Conv2d, conv)
        and may_be_bypassed(nn.BatchNorm2d, norm)
        and is_affine(norm)
        and may_be_bypassed(nn.ReLU, network.relu)
        and may_be_bypassed(nn.MaxPool2d, pool)
        and (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1)
        and (pool.dilation, pool.ceil_mode, pool.return_indices) == (1, False, False)
        and is_float32_on_cpu(x, conv.weight, *norm_tensors(norm))
        and not requires_grad(x, conv.weight, conv.bias, *norm_tensors(norm))
    ):
        return None
    x = relu_max_pool(conv(x), *affine_of(norm))
    outs = []
    for i, name in enumerate(network.res_layers):
        x = getattr(network, name)(x)
        if i in network.out_indices:
            outs.append(x)
    return tuple(outs)
