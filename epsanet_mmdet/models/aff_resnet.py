"""ResNets with attentional feature fusion instead of residual additions (arXiv 2009.14082)."""

from typing import Sequence

from mmdet.models.backbones import ResNet, ResNeXt, resnet, resnext
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import ArgumentError
from ..layers import FUSIONS, check_fusion
from ..layers.checks import check_choice
from .bottleneck import BOTTLENECK_DEPTHS, CombiningMixin
from .norm_cfg import norm_layer_of
from .resnet import PluginMixin


class FusionMixin(CombiningMixin):
    """Mixin of mmdet's bottlenecks that fuses identity and residual instead of adding them.

    Args:
        inplanes (int): Input channels.
        planes (int): A quarter of the output channels.
        fusion (str): One of :data:`~epsanet_mmdet.layers.FUSIONS`.
        reduction (int): Reduction ratio of the fusion.
        **kwargs: All options of the bottleneck; the fusion uses its ``norm_cfg``.
    """

    def __init__(self, inplanes: int, planes: int, fusion: str, reduction: int, **kwargs) -> None:
        super().__init__(inplanes, planes, **kwargs)
        self.fusion = FUSIONS[fusion](
            planes * self.expansion, reduction, norm_layer=norm_layer_of(self.norm_cfg)
        )

    def combine(self, identity: Tensor, residual: Tensor) -> Tensor:
        return self.relu(self.fusion(identity, residual))


class AFFBottleneck(FusionMixin, resnet.Bottleneck):
    """ResNet bottleneck that fuses identity and residual."""


class AFFResNeXtBottleneck(FusionMixin, resnext.Bottleneck):
    """ResNeXt bottleneck that fuses identity and residual."""


@MODELS.register_module()
class AFFResNet(PluginMixin, ResNet):
    """ResNet whose blocks fuse identity and residual by attention, stage by stage.

    Paper: `Attentional Feature Fusion <https://arxiv.org/abs/2009.14082>`_. The defaults are the
    published AFF-ResNet-50 (30.3 M parameters with the classifier), a ResNet-D. With ``'iaff'``
    instead of ``'aff'``, it is iAFF-ResNet-50 (35.1 M). With ``deep_stem=False`` and
    ``avg_down=False``, it differs from torchvision's ResNet only in the fusions and can start from
    its weights.

    Args:
        depth (int): 50, 101 or 152.
        fusion (Sequence[str]): Fusion of each stage, by its name in
            :data:`~epsanet_mmdet.layers.FUSIONS`.
        reduction (int): Reduction ratio of the fusions.
        deep_stem (bool): Use three 3x3 convolutions as the stem instead of one 7x7.
        avg_down (bool): Use average pooling in the shortcuts that downsample.
        **kwargs: All options of mmdet's ``ResNet``.

    Raises:
        ArgumentError: If the depth, a fusion or a plugin position is unknown, or if the number of
            fusions differs from that of the stages.
    """

    arch_settings = BOTTLENECK_DEPTHS
    fused_block = AFFBottleneck

    def __init__(
        self,
        depth: int,
        fusion: Sequence[str] = ('add', 'add', 'aff', 'aff'),
        reduction: int = 16,
        deep_stem: bool = True,
        avg_down: bool = True,
        **kwargs,
    ) -> None:
        owner = type(self).__name__
        check_choice(owner, 'depth', depth, self.arch_settings)
        stages = kwargs.get('num_stages', 4)
        if isinstance(fusion, str) or len(fusion) != stages:
            raise ArgumentError(
                f'{owner} needs one fusion for each of its {stages} stages, but got '
                f'fusion={fusion!r}'
            )
        for name in fusion:
            check_fusion(owner, name)
        self.fusion = tuple(fusion)
        self.reduction = reduction
        super().__init__(depth=depth, deep_stem=deep_stem, avg_down=avg_down, **kwargs)

    def make_res_layer(self, **kwargs) -> ResLayer:
        fusion = self.fusion[len(self.res_layers)]
        kwargs.update(block=self.fused_block, fusion=fusion, reduction=self.reduction)
        return super().make_res_layer(**kwargs)


@MODELS.register_module()
class AFFResNeXt(AFFResNet, ResNeXt):
    """ResNeXt whose blocks fuse identity and residual by attention, stage by stage.

    The defaults with ``('add', 'add', 'iaff', 'iaff')`` are the published iAFF-ResNeXt-50 32x4d
    (34.7 M parameters with the classifier), whose stem is wider than that of a ResNet-D. With
    ``deep_stem=False``, ``avg_down=False`` and ``stem_channels=64``, it differs from torchvision's
    ResNeXt only in the fusions.

    Args:
        depth (int): 50, 101 or 152.
        groups (int): Groups of the 3x3 convolutions.
        base_width (int): Channels of each group in the first stage.
        stem_channels (int): Channels of the stem.
        **kwargs: All options of :class:`AFFResNet` and of mmdet's ``ResNeXt``.

    Raises:
        ArgumentError: See :class:`AFFResNet`.
    """

    arch_settings = ResNeXt.arch_settings
    fused_block = AFFResNeXtBottleneck

    def __init__(
        self,
        depth: int,
        groups: int = 32,
        base_width: int = 4,
        stem_channels: int = 128,
        **kwargs,
    ) -> None:
        super().__init__(
            depth, groups=groups, base_width=base_width, stem_channels=stem_channels, **kwargs
        )
