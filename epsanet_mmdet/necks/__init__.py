"""Necks for mmdet's ``MODELS`` registry."""

from .aff_fpn import AFFFPN

__all__ = ['AFFFPN']
