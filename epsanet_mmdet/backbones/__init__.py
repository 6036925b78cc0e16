"""Backbones for mmdet's ``MODELS`` registry."""

from .aff_resnet import AFFResNet
from .epsanet import EPSANet
from .stage_plugin_resnet import StagePluginResNet

__all__ = ['AFFResNet', 'EPSANet', 'StagePluginResNet']
