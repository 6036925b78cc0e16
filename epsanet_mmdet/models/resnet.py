"""mmdet's ResNets with better support for plugin layers, and two variants of them."""

from typing import Optional, Sequence

from mmdet.models.backbones import ResNet, ResNeXt
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from torch import nn

from ..errors import ArgumentError
from .basic_block import PluginBasicBlock
from .plugins import add_plugin, with_norm_cfg

POSITIONS = ('after_conv1', 'after_conv2', 'after_conv3')


class PluginMixin:
    """Mixin of mmdet's ResNets that checks ``plugins`` and passes ``norm_cfg`` on to them.

    A ``norm_cfg`` in a plugin's own ``cfg`` takes precedence. ``zero_init_residual`` applies to all
    blocks; mmdet's ResNet applies it to its own two only.
    """

    def __init__(self, *args, plugins: Optional[Sequence[dict]] = None, **kwargs) -> None:
        check_positions(plugins)
        random_init = kwargs.get('init_cfg') is None and kwargs.get('pretrained') is None
        super().__init__(*args, plugins=plugins, **kwargs)
        if random_init and self.zero_init_residual:
            for block in self.modules():
                if isinstance(block, (BasicBlock, Bottleneck)):
                    norm = 'norm2' if isinstance(block, BasicBlock) else 'norm3'
                    block.init_cfg = dict(type='Constant', val=0, override=dict(name=norm))

    def make_stage_plugins(self, plugins: list[dict], stage_idx: int) -> list[dict]:
        return [
            {**plugin, 'cfg': with_norm_cfg(plugin['cfg'], self.norm_cfg)}
            for plugin in super().make_stage_plugins(plugins, stage_idx)
        ]

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        return self  # mmdet's ResNet returns None


def check_positions(plugins: Optional[Sequence[dict]]) -> None:
    """Raise an ArgumentError on an unknown ``position``, where mmdet only asserts."""
    for plugin in plugins or ():
        if plugin.get('position') not in POSITIONS:
            options = ', '.join(map(repr, POSITIONS))
            raise ArgumentError(
                f'There is no plugin position={plugin.get("position")!r}; choose one of {options}'
            )


def check_no_dcn(backbone: str, options: dict) -> None:
    """Raise an ArgumentError if the options of a backbone replace its own convolutions."""
    if options.get('dcn') is not None:
        raise ArgumentError(
            f"{backbone} has no dcn, which would replace its own convolutions; use mmdet's ResNet "
            'for dcn'
        )


@MODELS.register_module()
class PluginResNet(PluginMixin, ResNet):
    """ResNet whose options ``plugins`` and ``dcn`` also work for ResNet-18 and ResNet-34.

    mmdet's own ResNet refuses them there. For the other depths, the two are the same.

    Args:
        depth (int): See mmdet's ``ResNet``.
        **kwargs: All options of mmdet's ``ResNet``. For their effect in ResNet-18 and ResNet-34,
            see :class:`PluginBasicBlock`.

    Raises:
        ArgumentError: If a plugin has an unknown ``position``.
    """

    arch_settings = {
        **ResNet.arch_settings,
        18: (PluginBasicBlock, (2, 2, 2, 2)),
        34: (PluginBasicBlock, (3, 4, 6, 3)),
    }


@MODELS.register_module()
class StagePluginResNet(PluginResNet):
    """ResNet with plugin layers after its stages, where the papers of BAM and DANet put them.

    mmdet's own ``plugins`` adds a layer to every block of a stage. Here, it follows the last
    block, so both the next stage and the detector's neck receive its output.

    Args:
        depth (int): See mmdet's ``ResNet``.
        stage_plugins (list[dict]): The layers, each ``dict(cfg=dict(type=...), stages=(...))``
            with one flag per stage in ``stages``.
        **kwargs: All options of mmdet's ``ResNet``.

    Raises:
        ArgumentError: If a stage plugin has a ``position`` or not one flag per stage, if two of a
            stage have the same name, or if another plugin has an unknown ``position``.
    """

    def __init__(self, depth: int, stage_plugins: list[dict], **kwargs) -> None:
        stages = kwargs.get('num_stages', 4)
        for plugin in stage_plugins:
            if set(plugin) != {'cfg', 'stages'} or len(plugin['stages']) != stages:
                raise ArgumentError(
                    f'StagePluginResNet needs cfg and {stages} stages for each plugin, and no '
                    f'position, but got {plugin}'
                )
        self.stage_plugins = stage_plugins
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs) -> ResLayer:
        layer = super().make_res_layer(**kwargs)
        channels = kwargs['planes'] * self.block.expansion
        for plugin in self.make_stage_plugins(self.stage_plugins, len(self.res_layers)):
            add_plugin(layer, plugin['cfg'], channels)
        return layer


class CaffePoolMixin:
    """Mixin of mmdet's ResNets: max pooling without padding, with the size rounded up, as in Caffe.

    torchvision's ResNet pads the map by one pixel instead, and therefore pools other windows.
    """

    def _make_stem_layer(self, *args) -> None:
        super()._make_stem_layer(*args)
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)


@MODELS.register_module()
class CaffePoolResNet(CaffePoolMixin, PluginMixin, ResNet):
    """ResNet with Caffe's pooling; with ``style='caffe'``, the base of Cadene's SE-ResNets."""


@MODELS.register_module()
class CaffePoolResNeXt(CaffePoolMixin, PluginMixin, ResNeXt):
    """ResNeXt with Caffe's pooling, the base of Cadene's SE-ResNeXts."""
