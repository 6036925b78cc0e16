"""Res2Net whose stages select among the depths of their blocks (arXiv 2204.04674)."""

from typing import Optional, Sequence

import torch
from mmdet.models.backbones.res2net import Bottle2neck
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import ArgumentError
from .sda_resnet import DepthMixin, SDABase, SDAStage


class SDABottle2neck(DepthMixin, Bottle2neck):
    """Bottleneck of Res2Net as a depth of :class:`SDAStage`.

    As in Res2Net's own code, the first block of every stage pools its last part. mmdet's does so
    only with a stride, and therefore computes something else in the first stage.
    """

    def __init__(
        self, inplanes: int, planes: int, downsample: Optional[nn.Module] = None, **kwargs
    ) -> None:
        first = downsample is not None
        kwargs.update(downsample=downsample, stage_type='stage' if first else 'normal')
        super().__init__(inplanes, planes, **kwargs)
        self.pool = nn.AvgPool2d(3, self.conv2_stride, padding=1) if first else nn.Identity()

    def _spatial(self, x: Tensor) -> Tensor:
        *parts, last = x.split(self.width, dim=1)
        outs: list[Tensor] = []
        for part, conv, norm in zip(parts, self.convs, self.bns):
            if outs and self.stage_type == 'normal':
                part = part + outs[-1]
            outs.append(self.relu(norm(conv(part.contiguous()))))
        return torch.cat([*outs, self.pool(last)], dim=1)


@MODELS.register_module()
class SDARes2Net(SDABase):
    """Res2Net whose stages select among the depths of their blocks.

    Paper: `SDA-xNet <https://arxiv.org/abs/2204.04674>`_. The defaults are the published
    SDA-Res2Net-86, with the plain stem of ResNet; mmdet's Res2Net has the deep one.

    Args:
        depth (int): 50, 86, 101 or 152.
        scales (int): Parts into which a block splits its channels, at least 2.
        base_width (int): Channels of each part in the first stage.
        sda_reduction (int): Reduction ratio of the depth attention.
        sda_min_hidden (int): Least hidden width of the depth attention.
        plugins (list[dict], optional): As in mmdet's ``ResNet``, but only ``after_conv3``.
        **kwargs: All options of mmdet's ``ResNet``; the depth attention uses its ``norm_cfg``.

    Raises:
        ArgumentError: If the depth is unknown, there are fewer than two scales, or a plugin has
            another position.
    """

    depth_block = SDABottle2neck

    def __init__(
        self,
        depth: int = 86,
        scales: int = 4,
        base_width: int = 26,
        plugins: Optional[Sequence[dict]] = None,
        **kwargs,
    ) -> None:
        if scales < 2:
            raise ArgumentError(f'SDARes2Net needs scales of at least 2, but got scales={scales}')
        for plugin in plugins or ():
            if plugin.get('position') != 'after_conv3':
                raise ArgumentError(
                    f'SDARes2Net has plugins only at position after_conv3, but got '
                    f'position={plugin.get("position")!r}'
                )
        self.scales = scales
        self.base_width = base_width
        super().__init__(depth, plugins=plugins, **kwargs)

    def make_res_layer(self, **kwargs) -> SDAStage:
        widths = dict(base_width=self.base_width, base_channels=self.base_channels)
        return super().make_res_layer(scales=self.scales, **widths, **kwargs)
