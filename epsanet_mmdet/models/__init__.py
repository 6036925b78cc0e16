"""What mmdet's ``MODELS`` registry gets: backbones, necks and plugin layers."""

from . import channels_last, plugins  # noqa: F401
from .aff_fpn import AFFFPN
from .aff_resnet import AFFResNet
from .caffe_pool import CaffePoolResNet, CaffePoolResNeXt
from .epsanet import EPSABlock, EPSANet
from .stage_plugin_resnet import StagePluginResNet

__all__ = [
    'AFFFPN',
    'AFFResNet',
    'CaffePoolResNeXt',
    'CaffePoolResNet',
    'EPSABlock',
    'EPSANet',
    'StagePluginResNet',
]
