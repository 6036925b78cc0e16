"""Attention and fusion layers in plain torch, one file per paper."""

from .psa import PSAModule
from .squeeze import SqueezeMLP

__all__ = ['PSAModule', 'SqueezeMLP']
