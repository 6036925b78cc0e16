"""The seam between the layers and their faster implementations.

A layer is plain torch and reads like its paper. What computes the same faster is registered in
:data:`FUSED` from outside (:mod:`epsanet_mmdet.ops`) and applies only where nobody watches the
single operations. Without it, every layer computes by its own ``forward``.
"""

import functools
from typing import Any, Callable, Dict, TypeVar

from torch import nn

Layer = TypeVar('Layer', bound=type[nn.Module])

# Class -> function of the module and its input. It returns the output, or None to decline.
FUSED: Dict[type, Callable[[nn.Module, Any], Any]] = {}


def fusable(cls: Layer) -> Layer:
    """Let :data:`FUSED` compute what the ``forward`` of a class computes, or what it inherits.

    Subclasses inherit this; one with a ``forward`` of its own is called as it is.
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
