"""EPSANet's blocks and stem on CPUs, in few passes over memory."""

from typing import Iterator, List, NamedTuple, Optional, Tuple

import torch
from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from ..backbones import EPSANet
from ..backbones.epsa_block import EPSABlock
from ..layers import PSAModule
from ..layers.norm import affine_of
from .cpu import kernels
from .cpu.channel_norm import ChannelNorm
from .cpu.evaluation import pointwise_conv, psa_attention, relu_max_pool
from .cpu.training import conv1x1, norm_add_relu, norm_relu_branches, norm_relu_conv1x1
from .psa import branch_features
from .support import (
    FORWARDS,
    accelerates,
    branch_channels,
    is_affine,
    is_complete_norm,
    is_float32_on_cpu,
    is_pointwise,
    learns,
    may_be_bypassed,
    norm_tensors,
    se_parameters,
    squeezes_plainly,
)

LARGE_MAP = 2**21  # values
FORWARDS.update({kind: kind.forward for kind in (Bottleneck, ResNet)})


class _Normed(NamedTuple):
    """A 1x1 convolution and the batch norm after it."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def is_pointwise(self, channels: int) -> bool:
        """Return whether it takes that many channels."""
        return is_pointwise(self.conv, channels)

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return len(self.conv.weight)


class _Parts(NamedTuple):
    """What a block calls: 1x1 convolution, PSA, norm, 1x1 convolution; pools and shortcut."""

    reduce: _Normed
    psa: PSAModule
    norm: nn.BatchNorm2d
    expand: _Normed
    pools: List[nn.Module]
    shortcut: Optional[_Normed]

    @property
    def norms(self) -> Iterator[Tuple[nn.BatchNorm2d, int]]:
        """Norms, each with the channels that it is given."""
        yield self.reduce.norm, self.reduce.channels
        yield self.norm, self.psa.branches * len(self.psa.conv_1.weight)
        yield self.expand.norm, self.expand.channels
        if self.shortcut:
            yield self.shortcut.norm, self.shortcut.channels

    @property
    def tensors(self) -> List[Optional[Tensor]]:
        """Parameters and buffers."""
        convs = [self.reduce.conv, self.expand.conv, *self.psa.convs]
        convs += [self.shortcut.conv] if self.shortcut else []
        tensors = [conv.weight for conv in convs] + se_parameters(self.psa)
        return tensors + [t for norm, _ in self.norms for t in norm_tensors(norm)]


@accelerates(EPSABlock)
def block_forward(block: EPSABlock, x: Tensor) -> Optional[Tensor]:
    """Compute a block in four passes, and with gradients in about as many again."""
    if Bottleneck.forward is not FORWARDS[Bottleneck] or type(block) is not EPSABlock:
        return None
    if not is_float32_on_cpu(x) or x.dim() != 4 or x.numel() == 0 or block.plugins:
        return None
    parts = _parts_of(block, x.shape[1])
    if parts is None:
        return None
    tensors, compiles = parts.tensors, torch.compiler.is_compiling()
    pooling = (p for pool in parts.pools for p in pool.parameters())
    learning = learns(x, *tensors, *pooling)
    # Fewer passes of the library pay too, in evaluation, where maps do not fit the cache.
    by_library = not (learning or compiles) and x.numel() > LARGE_MAP
    if not (by_library or kernels.instruction_set()) or not is_float32_on_cpu(x, *tensors):
        return None
    if not learning:
        evaluates = all(is_affine(norm, channels) for norm, channels in parts.norms)
        return _evaluate(parts, x) if evaluates else None
    if compiles or block.with_cp:
        return None
    stride = parts.reduce.conv.stride[0] * parts.psa.convs[0].stride[0]
    values = len(x) * -(-x.shape[2] // stride) * -(-x.shape[3] // stride)
    learnable = all(is_complete_norm(norm, channels, values) for norm, channels in parts.norms)
    return _train(block, parts, x) if learnable else None


def _parts_of(block: EPSABlock, channels: int) -> Optional[_Parts]:
    """Return the parts of a block for that many channels; None if they must be called."""
    *pools, conv, norm = block.downsample or (None, None)
    shortcut = None if norm is None else _Normed(conv, norm)
    psa, expand = block.conv2, _Normed(block.conv3, block.norm3)
    parts = _Parts(_Normed(block.conv1, block.norm1), psa, block.norm2, expand, pools, shortcut)
    if not may_be_bypassed(PSAModule, psa) or not may_be_bypassed(nn.ReLU, block.relu):
        return None
    if shortcut and not may_be_bypassed(nn.Sequential, block.downsample):
        return None
    if not may_be_bypassed(nn.BatchNorm2d, *(norm for norm, _ in parts.norms)):
        return None
    branches = branch_channels(psa.convs)
    if branches is None or not squeezes_plainly(psa, branches[1]):
        return None
    fits = (
        parts.reduce.is_pointwise(channels)
        and parts.reduce.channels == branches[0]
        and expand.is_pointwise(branches[1] * psa.branches)
        and expand.conv.stride == (1, 1)
        and (shortcut is None or shortcut.is_pointwise(channels))
        and (shortcut.channels if shortcut else channels) == expand.channels
    )
    return parts if fits else None


def _evaluate(parts: _Parts, x: Tensor) -> Tensor:
    identity = x
    if parts.shortcut:
        for pool in parts.pools:
            identity = pool(identity)
        identity = _conv_norm(identity, parts.shortcut)
    out = _conv_norm(x, parts.reduce, relu=True)
    features = branch_features(parts.psa.convs, out)
    attention = psa_attention(features, *se_parameters(parts.psa)).flatten(1)
    scale, shift = affine_of(parts.norm)
    return _conv_norm(
        features.flatten(1, 2),
        parts.expand,
        relu=True,
        add=identity,
        in_scale=attention * scale,
        in_shift=shift,
    )


def _conv_norm(x: Tensor, normed: _Normed, relu: bool = False, **more: Tensor) -> Tensor:
    scale, shift = affine_of(normed.norm)
    weight, stride = normed.conv.weight, normed.conv.stride[0]
    return pointwise_conv(x, weight, scale, shift, stride, relu, **more)


def _train(block: EPSABlock, parts: _Parts, x: Tensor) -> Tensor:
    identity = x
    if parts.shortcut:
        for pool in parts.pools:
            identity = pool(identity)
        identity = conv1x1(identity, parts.shortcut.conv)
        identity = norm_add_relu(identity, ChannelNorm(parts.shortcut.norm), relu=False)
    out = conv1x1(x, parts.reduce.conv)
    out = norm_relu_branches(out, ChannelNorm(parts.reduce.norm), parts.psa)
    out = norm_relu_conv1x1(out, ChannelNorm(parts.norm, parts.psa), parts.expand.conv)
    if out.shape != identity.shape:
        return block.relu(parts.expand.norm(out) + identity)  # which torch refuses
    return norm_add_relu(out, ChannelNorm(parts.expand.norm), identity)


@accelerates(EPSANet)
def network_forward(network: EPSANet, x: Tensor) -> Optional[Tuple[Tensor, ...]]:
    """Compute the stem's norm, ReLU and pool in one pass, and the stages as they are."""
    if ResNet.forward is not FORWARDS[ResNet] or type(network) is not EPSANet:
        return None
    if network.deep_stem or not is_float32_on_cpu(x) or not kernels.instruction_set():
        return None
    conv, norm, pool = network.conv1, network.norm1, network.maxpool
    if not (
        may_be_bypassed(nn.Conv2d, conv)
        and may_be_bypassed(nn.BatchNorm2d, norm)
        and is_affine(norm, conv.out_channels)
        and may_be_bypassed(nn.ReLU, network.relu)
        and may_be_bypassed(nn.MaxPool2d, pool)
        and (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1)
        and (pool.dilation, pool.ceil_mode, pool.return_indices) == (1, False, False)
        and is_float32_on_cpu(x, conv.weight, *norm_tensors(norm))
        and not learns(x, conv.weight, conv.bias, *norm_tensors(norm))
    ):
        return None
    x = relu_max_pool(conv(x), *affine_of(norm))
    outs = []
    for i, name in enumerate(network.res_layers):
        x = getattr(network, name)(x)
        if i in network.out_indices:
            outs.append(x)
    return tuple(outs)
