"""The convolutions that a network computes for a size of images."""

from typing import Iterator, NamedTuple

from torch import nn

from ...models import EPSANet
from ...models.epsanet import EPSABlock
from ..block import BlockParts, block_parts
from .plan import ConvShape


class Problem(NamedTuple):
    """A convolution and the size of its output.

    Attributes:
        shape: The convolution; a 1x1 convolution has one group.
        batch: Images.
        height: Height of the output.
        width: Width of the output.
    """

    shape: ConvShape
    batch: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Pixels of the output, of all images."""
        return self.batch * self.height * self.width

    @property
    def is_pointwise(self) -> bool:
        """Whether it is a 1x1 convolution without groups."""
        return self.shape.size == 1 and self.shape.groups == 1

    def __str__(self) -> str:
        groups = '' if self.shape.groups == 1 else f' in {self.shape.groups} groups'
        kernel = f'{self.shape.size}x{self.shape.size}'
        size = f'{self.batch}x{self.height}x{self.width}'
        return f'{kernel}, {self.shape.inputs} to {self.shape.outputs} channels{groups}, {size}'


def problems_of(network: nn.Module, batch: int, height: int, width: int) -> Iterator[Problem]:
    """Yield the convolutions of the EPSANets in a network, those of their stems excepted.

    Args:
        network: A network, such as a detector.
        batch: Images of a batch.
        height: Their height.
        width: Their width.
    """
    for module in network.modules():
        if type(module) is EPSANet:
            yield from _of_backbone(module, batch, [-(-side // 4) for side in (height, width)])


def _of_backbone(network: EPSANet, batch: int, size: list) -> Iterator[Problem]:
    for name in network.res_layers:
        for block in getattr(network, name):
            parts = None
            if type(block) is EPSABlock:
                parts = block_parts(block, block.conv1.in_channels)
            if parts is None:
                return
            for shape, stride in _steps(parts):
                size = [-(-side // stride) for side in size]
                yield Problem(shape, batch, *size)


def _steps(parts: BlockParts) -> Iterator[tuple]:
    """Yield the convolutions of a block in order, each with the stride before its output."""
    branches = parts.branches
    inner, width = parts.reduce.channels, branches.width
    yield _pointwise(parts.reduce), parts.reduce.stride
    stride = branches.stride
    for weight, groups in zip(branches.weights, branches.groups):
        sizes = weight.shape[-1], groups, branches.stride, branches.dilation
        yield ConvShape(inner, width, *sizes), stride
        stride = 1
    yield _pointwise(parts.expand), 1
    if parts.shortcut:
        yield _pointwise(parts.shortcut), 1


def _pointwise(conv) -> ConvShape:
    outputs, inputs = conv.weight.shape[:2]
    return ConvShape(inputs, outputs, 1, 1, 1, 1)
