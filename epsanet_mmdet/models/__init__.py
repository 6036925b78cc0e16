"""Backbones, necks and plugin layers for mmdet's ``MODELS`` registry."""

from . import channels_last, plugins  # noqa: F401
from .aff_fpn import AFFFPN
from .aff_resnet import AFFResNet, AFFResNeXt
from .embanet import EMBANet
from .epsanet import EPSABlock, EPSANet
from .pyconv_resnet import PyConvResNet
from .resnet import CaffePoolResNet, CaffePoolResNeXt, PluginResNet, StagePluginResNet
from .sda_epsanet import SDAEPSANet
from .sda_res2net import SDARes2Net
from .sda_resnet import SDAResNet
from .sknet import SKNet
from .with_plugins import with_plugins

__all__ = [
    'AFFFPN',
    'AFFResNeXt',
    'AFFResNet',
    'CaffePoolResNeXt',
    'CaffePoolResNet',
    'EMBANet',
    'EPSABlock',
    'EPSANet',
    'PluginResNet',
    'PyConvResNet',
    'SDAEPSANet',
    'SDARes2Net',
    'SDAResNet',
    'SKNet',
    'StagePluginResNet',
    'with_plugins',
]
