"""Backbones for mmdet's ``MODELS`` registry."""

from .epsanet import EPSANet

__all__ = ['EPSANet']
