"""ResNets with attention after whole stages, not inside their blocks."""

from mmcv.cnn import build_plugin_layer
from mmdet.models.backbones.resnet import ResNet
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS

from ..errors import ArgumentError
from .plugin_norms import PluginNorms
from .plugin_positions import check_positions


@MODELS.register_module()
class StagePluginResNet(PluginNorms, ResNet):
    """ResNet with plugin layers after its stages, where BAM and DANet stand in their papers.

    mmdet's own ``plugins`` puts a layer into every block of a stage. Here one follows the
    last block, so that both the next stage and the detector's neck see its output.

    Args:
        depth (int): As of mmdet's ``ResNet``.
        stage_plugins (list[dict]): The layers, each ``dict(cfg=dict(type=...), stages=(...))``,
            where ``stages`` has a flag for each stage.
        **kwargs: Every option of mmdet's ``ResNet``.

    Raises:
        ValueError: If a stage plugin has a ``position`` or not one flag for each stage, or another
            plugin has an unknown ``position``.
    """

    def __init__(self, depth: int, stage_plugins: list[dict], **kwargs) -> None:
        stages = kwargs.get('num_stages', 4)
        for plugin in stage_plugins:
            if set(plugin) != {'cfg', 'stages'} or len(plugin['stages']) != stages:
                raise ArgumentError(
                    f'StagePluginResNet needs cfg and {stages} stages for each plugin, and no '
                    f'position, but got {plugin}'
                )
        check_positions(kwargs.get('plugins'))
        self.stage_plugins = stage_plugins
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs) -> ResLayer:
        layer = super().make_res_layer(**kwargs)
        channels = kwargs['planes'] * self.block.expansion
        for plugin in self.make_stage_plugins(self.stage_plugins, len(self.res_layers)):
            layer.add_module(*build_plugin_layer(plugin['cfg'], in_channels=channels))
        return layer

    def train(self, mode: bool = True) -> 'StagePluginResNet':
        super().train(mode)
        return self  # mmdet's ResNet forgets to
