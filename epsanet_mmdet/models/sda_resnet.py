"""ResNets whose stages select among the depths of their blocks (arXiv 2204.04674)."""

from typing import Optional

from mmdet.models.backbones.resnet import Bottleneck, ResNet
from mmdet.models.backbones.resnext import Bottleneck as GroupedBottleneck
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import ArgumentError
from ..layers import SelectiveDepthAttention2d
from ..layers.checks import check_choice
from .bottleneck import CombiningMixin
from .norm_cfg import norm_layer_of
from .resnet import PluginMixin


class DepthMixin(CombiningMixin):
    """Mixin of mmdet's bottlenecks: the output is the sum before the last ReLU."""

    def combine(self, identity: Tensor, residual: Tensor) -> Tensor:
        return identity + residual


class SDABottleneck(DepthMixin, GroupedBottleneck):
    """Bottleneck of ResNet and ResNeXt as a depth of :class:`SDAStage`."""


class SDAStage(ResLayer):
    """Stage whose output is the selective depth attention over its blocks, and a ReLU.

    Args:
        sda (dict): ``reduction`` and ``min_hidden`` of its ``SelectiveDepthAttention2d``.
        **kwargs: All options of mmdet's ``ResLayer``.
    """

    def __init__(self, sda: dict, planes: int, norm_cfg: dict, **kwargs) -> None:
        super().__init__(planes=planes, norm_cfg=norm_cfg, **kwargs)
        channels, depths = planes * self.block.expansion, len(self)
        self.sda = SelectiveDepthAttention2d(
            channels, depths, norm_layer=norm_layer_of(norm_cfg), **sda
        )

    def forward(self, x: Tensor) -> Tensor:
        *blocks, sda = self
        depths: list[Tensor] = []
        for block in blocks:
            depths.append(block(depths[-1].relu() if depths else x))
        return sda(*depths).relu()


class SDABase(PluginMixin, ResNet):
    """What the SDA networks share: their depths, and stages with selective depth attention.

    Depth 86 is the authors', with 5, 6, 12 and 5 blocks.
    """

    arch_settings = {
        50: (Bottleneck, (3, 4, 6, 3)),
        86: (Bottleneck, (5, 6, 12, 5)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }
    depth_block: type[nn.Module]

    def __init__(
        self, depth: int, sda_reduction: int = 16, sda_min_hidden: int = 64, **kwargs
    ) -> None:
        check_choice(type(self).__name__, 'depth', depth, self.arch_settings)
        self.sda = dict(reduction=sda_reduction, min_hidden=sda_min_hidden)
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs) -> SDAStage:
        kwargs.update(block=self.depth_block)
        return SDAStage(sda=self.sda, **kwargs)


@MODELS.register_module()
class SDAResNet(SDABase):
    """ResNet, or ResNeXt, whose stages select among the depths of their blocks.

    Paper: `SDA-xNet: Selective Depth Attention Networks for Adaptive Multi-scale Feature
    Representation <https://arxiv.org/abs/2204.04674>`_. The defaults are the published
    SDA-ResNet-86, whose 3x3 convolutions have 8 groups. With ``groups=1``, any attention can join
    as a plugin; with ``SELayer2d`` and ``bias=True`` after the third convolution, it is the
    published SDA-SENet-86.

    Args:
        depth (int): 50, 86, 101 or 152.
        groups (int): Groups of the 3x3 convolutions.
        base_width (int, optional): Channels of each group in the first stage, as in ResNeXt. By
            default, all groups together have as many as ResNet.
        sda_reduction (int): Reduction ratio of the depth attention.
        sda_min_hidden (int): Least hidden width of the depth attention.
        **kwargs: All options of mmdet's ``ResNet``; the depth attention uses its ``norm_cfg``.

    Raises:
        ArgumentError: If the depth or a plugin position is unknown, or the groups do not divide
            the channels.
    """

    depth_block = SDABottleneck

    def __init__(
        self, depth: int = 86, groups: int = 8, base_width: Optional[int] = None, **kwargs
    ) -> None:
        channels = kwargs.get('base_channels', 64)
        if base_width is None:
            if groups < 1 or channels % groups:
                raise ArgumentError(
                    f'SDAResNet needs groups that divide its {channels} channels, but got '
                    f'groups={groups}'
                )
            base_width = channels // groups
        self.groups = groups
        self.base_width = base_width
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs) -> SDAStage:
        widths = dict(base_width=self.base_width, base_channels=self.base_channels)
        return super().make_res_layer(groups=self.groups, **widths, **kwargs)
