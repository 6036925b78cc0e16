"""Faster implementations of layers and models.

Importing this package registers them, see :mod:`epsanet_mmdet.layers.fusable`. Without this folder,
plain torch computes the same.
"""

from ..utils.environment import check_stack
from . import psa  # noqa: F401

if check_stack():
    from . import epsanet  # noqa: F401
