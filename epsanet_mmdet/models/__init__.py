"""Backbones, necks and plugin layers for mmdet's ``MODELS`` registry."""

from . import channels_last, plugins  # noqa: F401
from .aff_fpn import AFFFPN
from .aff_resnet import AFFResNet, AFFResNeXt
from .epsanet import EPSABlock, EPSANet
from .resnet import CaffePoolResNet, CaffePoolResNeXt, StagePluginResNet

__all__ = [
    'AFFFPN',
    'AFFResNeXt',
    'AFFResNet',
    'CaffePoolResNeXt',
    'CaffePoolResNet',
    'EPSABlock',
    'EPSANet',
    'StagePluginResNet',
]
