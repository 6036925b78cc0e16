"""The parts of EPSANet's blocks and stem, where faster implementations bypass their modules."""

from typing import Iterator, List, NamedTuple, Optional, Tuple

from mmdet.models.backbones.resnet import Bottleneck, ResNet
from mmdet.models.layers import ResLayer
from torch import Tensor, nn

from ..layers import PSAModule
from ..models import EPSANet
from ..models.epsanet import EPSABlock
from .parts import Branches, Normed, branches_of, norm_tensors, normed_of, squeeze_of
from .support import FORWARDS, may_be_bypassed

FORWARDS.update({cls: cls.forward for cls in (Bottleneck, ResNet, EPSABlock, ResLayer)})


class BlockParts(NamedTuple):
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


def block_parts(block: EPSABlock, channels: int) -> Optional[BlockParts]:
    """Return the parts of a block for so many input channels, or None if they must be called."""
    if Bottleneck.forward is not FORWARDS[Bottleneck] or type(block) is not EPSABlock:
        return None
    if block.plugins:
        return None
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
        return BlockParts(reduce, branches, squeeze, norm, expand, [], None) if fits else None
    *pools, conv, shortcut_norm = downsample
    shortcut = normed_of(conv, shortcut_norm, channels)
    if not shortcut or not may_be_bypassed(nn.Sequential, downsample):
        return None
    fits = expand.channels == shortcut.channels
    return BlockParts(reduce, branches, squeeze, norm, expand, pools, shortcut) if fits else None


class Stem(NamedTuple):
    """The first convolution of a ResNet and the norm after it; a ReLU and a pooling follow."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    @property
    def tensors(self) -> List[Optional[Tensor]]:
        """Parameters and buffers."""
        return [self.conv.weight, self.conv.bias, *norm_tensors(self.norm)]


def stem_parts(network: EPSANet) -> Optional[Stem]:
    """Return the parts of a network's stem, or None if they must be called."""
    if ResNet.forward is not FORWARDS[ResNet] or type(network) is not EPSANet:
        return None
    if network.deep_stem:
        return None
    conv, norm, pool = network.conv1, network.norm1, network.maxpool
    bypassed = (
        may_be_bypassed(nn.Conv2d, conv)
        and may_be_bypassed(nn.BatchNorm2d, norm)
        and may_be_bypassed(nn.ReLU, network.relu)
        and may_be_bypassed(nn.MaxPool2d, pool)
        and (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1)
        and (pool.dilation, pool.ceil_mode, pool.return_indices) == (1, False, False)
    )
    return Stem(conv, norm) if bypassed else None
