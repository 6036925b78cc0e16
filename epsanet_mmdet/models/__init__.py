"""Backbones, necks and plugin layers for mmdet's ``MODELS`` registry."""

from . import channels_last, plugins  # noqa: F401
from .aff_fpn import AFFFPN
from .aff_resnet import AFFResNet
from .epsanet import EPSABlock, EPSANet
from .resnet import CaffePoolResNet, CaffePoolResNeXt, PluginResNet, StagePluginResNet
from .with_plugins import with_plugins

__all__ = [
    'AFFFPN',
    'AFFResNet',
    'CaffePoolResNeXt',
    'CaffePoolResNet',
    'EPSABlock',
    'EPSANet',
    'PluginResNet',
    'StagePluginResNet',
    'with_plugins',
]
