"""Backbones for mmdet's ``MODELS`` registry."""

from .aff_resnet import AFFResNet
from .caffe_pool import CaffePoolResNet, CaffePoolResNeXt
from .epsanet import EPSANet
from .stage_plugin_resnet import StagePluginResNet

__all__ = ['AFFResNet', 'CaffePoolResNeXt', 'CaffePoolResNet', 'EPSANet', 'StagePluginResNet']
