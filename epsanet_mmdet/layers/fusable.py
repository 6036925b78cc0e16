"""The seam between the layers and their faster implementations.

A layer is plain torch and reads like its paper. :mod:`epsanet_mmdet.ops` registers faster
implementations in :data:`FUSED`, which apply only where nothing observes the single operations.
Without them, every layer uses its own ``forward``.
"""

import functools
from typing import Any, Callable, Dict, TypeVar

from torch import nn

Layer = TypeVar('Layer', bound=type[nn.Module])

# Class -> function of a module and its input, which returns the output, or None to decline.
FUSED: Dict[type, Callable[[nn.Module, Any], Any]] = {}


def fusable(cls: Layer) -> Layer:
    """Let an implementation in :data:`FUSED` replace the ``forward`` of a class.

    Subclasses inherit this unless they define their own ``forward``.
    """
    own = cls.__dict__.get('forward')

    @functools.wraps(cls.forward)
    def forward(self, x):
        fused = FUSED.get(cls)
        out = None if fused is None else fused(self, x)
        if out is not None:
            return out
        return own(self, x) if own else super(cls, self).forward(x)

    cls.forward = forward
    return cls
