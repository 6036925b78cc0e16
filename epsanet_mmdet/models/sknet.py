"""Selective kernel networks (arXiv 1903.06586)."""

from mmdet.models.backbones.resnet import Bottleneck, ResNet
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from torch import nn

from ..layers import SKConv2d
from ..layers.checks import check_choice
from .bottleneck import BOTTLENECK_DEPTHS
from .norm_cfg import norm_layer_of
from .resnet import CaffePoolMixin, PluginMixin, check_no_dcn


class SKBottleneck(Bottleneck):
    """ResNeXt bottleneck, of twice the width of ResNet's, with selective kernels.

    Args:
        inplanes (int): Input channels.
        planes (int): A quarter of the output channels.
        groups (int): Groups of the convolutions.
        reduction (int): Reduction ratio of the selection.
        **kwargs: All options of mmdet's ``Bottleneck``; the selection uses its ``norm_cfg``.
    """

    def __init__(self, inplanes: int, planes: int, groups: int, reduction: int, **kwargs) -> None:
        width = 2 * planes
        # Bottleneck has `width * self.expansion` output channels.
        self.expansion = SKBottleneck.expansion // 2
        super().__init__(inplanes, width, **kwargs)
        self.conv2 = SKConv2d(
            width,
            width,
            dilations=(self.dilation, 2 * self.dilation),
            groups=groups,
            stride=self.conv2_stride,
            reduction=reduction,
            norm_layer=norm_layer_of(self.norm_cfg),
        )
        # The branches have norms of their own, and a ReLU changes nothing after them.
        setattr(self, self.norm2_name, nn.Identity())


@MODELS.register_module()
class SKNet(CaffePoolMixin, PluginMixin, ResNet):
    """SKNet: a ResNeXt 32x4d whose 3x3 convolutions select between two dilations.

    Paper: `Selective Kernel Networks <https://arxiv.org/abs/1903.06586>`_. Like the authors' Caffe
    models, it pools without padding after the first convolution.

    Args:
        depth (int): 50, 101 or 152.
        groups (int): Groups of the convolutions.
        reduction (int): Reduction ratio of the selection.
        **kwargs: All options of mmdet's ``ResNet`` except ``dcn``.

    Raises:
        ArgumentError: If the depth is unknown, the groups do not divide the channels, or there is a
            dcn.
    """

    arch_settings = BOTTLENECK_DEPTHS

    def __init__(self, depth: int, groups: int = 32, reduction: int = 16, **kwargs) -> None:
        check_choice('SKNet', 'depth', depth, self.arch_settings)
        check_no_dcn('SKNet', kwargs)
        self.sk = dict(groups=groups, reduction=reduction)
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs) -> ResLayer:
        kwargs.update(block=SKBottleneck, **self.sk)
        return super().make_res_layer(**kwargs)
