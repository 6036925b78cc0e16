"""Backbones, necks and plugin layers for mmdet's ``MODELS`` registry."""

from . import channels_last, plugins  # noqa: F401
from .aff_fpn import AFFFPN
from .aff_resnet import AFFResNet
from .embanet import EMBANet
from .epsanet import EPSABlock, EPSANet
from .pyconv_resnet import PyConvResNet
from .resnet import CaffePoolResNet, CaffePoolResNeXt, StagePluginResNet
from .sknet import SKNet

__all__ = [
    'AFFFPN',
    'AFFResNet',
    'CaffePoolResNeXt',
    'CaffePoolResNet',
    'EMBANet',
    'EPSABlock',
    'EPSANet',
    'PyConvResNet',
    'SKNet',
    'StagePluginResNet',
]
