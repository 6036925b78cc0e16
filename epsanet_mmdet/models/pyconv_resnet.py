"""ResNets with pyramidal convolutions (arXiv 2006.11538)."""

from typing import NamedTuple, Sequence

from mmdet.models.backbones.resnet import Bottleneck, ResNet
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from torch import nn

from ..layers import PyConv2d
from ..layers.checks import check_choice
from .bottleneck import BOTTLENECK_DEPTHS
from .resnet import PluginMixin, check_no_dcn

KERNEL_SIZES = ((3, 5, 7, 9), (3, 5, 7), (3, 5), (3,))


class Arch(NamedTuple):
    """Groups of the levels in each stage, and the width of the first stage."""

    groups: Sequence[Sequence[int]]
    width: int


class PyConvBottleneck(Bottleneck):
    """ResNet bottleneck whose 3x3 convolution is pyramidal and whose shortcut uses max pooling.

    Args:
        inplanes (int): Input channels.
        planes (int): A quarter of the output channels.
        width_factor (int): Channels of the pyramidal convolution divided by ``planes``.
        kernel_sizes (Sequence[int]): Kernel size of each level.
        groups (Sequence[int]): Groups of each level.
        **kwargs: All options of mmdet's ``Bottleneck``.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        width_factor: int,
        kernel_sizes: Sequence[int],
        groups: Sequence[int],
        **kwargs,
    ) -> None:
        width = planes * width_factor
        # Bottleneck has `width * self.expansion` output channels.
        self.expansion = PyConvBottleneck.expansion // width_factor
        super().__init__(inplanes, width, **kwargs)
        pyramid = PyConv2d(
            width, width, kernel_sizes, groups, stride=self.conv2_stride, dilation=self.dilation
        )
        # A single level is a plain convolution in the authors' networks, and so are its names.
        self.conv2 = pyramid if len(kernel_sizes) > 1 else pyramid.conv2_1
        if self.downsample is not None and self.stride > 1:
            self.downsample[0] = nn.MaxPool2d(3, stride=self.stride, padding=1)


@MODELS.register_module()
class PyConvResNet(PluginMixin, ResNet):
    """ResNet with pyramidal convolutions of 4, 3, 2 and 1 levels in its stages.

    Paper: `Pyramidal Convolution: Rethinking Convolutional Neural Networks for Visual Recognition
    <https://arxiv.org/abs/2006.11538>`_. Like the authors' code, it has no max pooling after the
    first convolution; the first stage has stride 2 instead, and the shortcuts that downsample use
    max pooling. Checkpoints of that code load without conversion.

    Args:
        depth (int): 50, 101 or 152.
        arch (str): ``'plain'`` (PyConvResNet) or ``'hg'`` (PyConvHGResNet: twice the width, and
            more groups).
        strides (Sequence[int]): Stride of each stage.
        **kwargs: All options of mmdet's ``ResNet`` except ``dcn`` and ``avg_down``.

    Raises:
        ArgumentError: If the depth or arch is unknown, or there is a dcn.
    """

    arch_settings = BOTTLENECK_DEPTHS
    archs = {
        'plain': Arch(((1, 4, 8, 16), (1, 4, 8), (1, 4), (1,)), width=64),
        'hg': Arch(((32, 32, 32, 32), (32, 64, 64), (32, 64), (32,)), width=128),
    }

    def __init__(
        self,
        depth: int,
        arch: str = 'plain',
        strides: Sequence[int] = (2, 2, 2, 2),
        **kwargs,
    ) -> None:
        check_choice('PyConvResNet', 'depth', depth, self.arch_settings)
        check_choice('PyConvResNet', 'arch', arch, self.archs)
        check_no_dcn('PyConvResNet', kwargs)
        self.arch = self.archs[arch]
        # Shortcuts that downsample begin with a pooling, which the block replaces.
        super().__init__(depth, strides=strides, avg_down=True, **kwargs)

    def _make_stem_layer(self, *args) -> None:
        super()._make_stem_layer(*args)
        self.maxpool = nn.Identity()

    def make_res_layer(self, **kwargs) -> ResLayer:
        stage = len(self.res_layers)
        kwargs.update(
            block=PyConvBottleneck,
            width_factor=self.arch.width // 64,
            kernel_sizes=KERNEL_SIZES[stage],
            groups=self.arch.groups[stage],
        )
        return super().make_res_layer(**kwargs)
