"""Faster implementations of layers and models.

Importing this package registers them (:mod:`epsanet_mmdet.layers.fusable`). Nothing else imports
it: without this folder, everything computes the same by plain torch.
"""

from ..utils.environment import check_stack
from . import psa  # noqa: F401

if check_stack():
    from . import epsanet  # noqa: F401
