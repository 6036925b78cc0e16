"""ResNets whose stem pools as Caffe does, for weights that were ported from it."""

from mmdet.models.backbones import ResNet, ResNeXt
from mmdet.registry import MODELS
from torch import nn

from .plugin_norms import PluginNorms


class CaffePool:
    """Mixin of mmdet's ResNets: max pooling from the first pixel on, with the size rounded up.

    torchvision's ResNet pads the map by one pixel instead, and so pools other windows.
    """

    def _make_stem_layer(self, *args) -> None:
        super()._make_stem_layer(*args)
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)


@MODELS.register_module()
class CaffePoolResNet(CaffePool, PluginNorms, ResNet):
    """ResNet with Caffe's pooling. With ``style='caffe'``, that of Cadene's SE-ResNets."""


@MODELS.register_module()
class CaffePoolResNeXt(CaffePool, PluginNorms, ResNeXt):
    """ResNeXt with Caffe's pooling, that of Cadene's SE-ResNeXts."""
