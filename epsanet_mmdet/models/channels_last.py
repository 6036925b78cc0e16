"""Contiguous inputs for mmcv's operators, which misread channels-last maps.

The bug: mmcv 2.0 to 2.2 (measured with 2.1.0 on CPUs) passes the memory of its inputs to compiled
code that expects contiguous tensors, mostly without checking. On channels-last maps and weights,
RoIAlign and DCNv2 silently compute wrong results, and DCNv1 raises an error.

The fix: importing this package wraps ``forward`` of the operators' autograd functions, see
:func:`require_contiguous`, so it applies to every model in training, testing and inference.
Contiguous tensors are passed on unchanged. The first copy for an operator is logged. The backward
pass needs no fix, because mmcv makes the gradients contiguous.

When mmcv makes its inputs contiguous itself, ``tests/models/test_channels_last.py`` fails and this
module can be removed.
"""

import functools
import logging

import mmcv
from mmcv.ops.border_align import BorderAlignFunction
from mmcv.ops.carafe import CARAFEFunction, CARAFENaiveFunction
from mmcv.ops.deform_conv import DeformConv2dFunction
from mmcv.ops.deform_roi_pool import DeformRoIPoolFunction
from mmcv.ops.masked_conv import MaskedConv2dFunction
from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction
from mmcv.ops.roi_align import RoIAlignFunction
from mmcv.ops.roi_align_rotated import RoIAlignRotatedFunction
from mmcv.ops.roi_pool import RoIPoolFunction
from mmengine.logging import print_log
from torch import Tensor
from torch.autograd import Function

# All operators that mmdet applies to feature maps.
OPERATORS = (
    RoIAlignFunction,
    RoIAlignRotatedFunction,
    RoIPoolFunction,
    DeformRoIPoolFunction,
    DeformConv2dFunction,
    ModulatedDeformConv2dFunction,
    MaskedConv2dFunction,
    CARAFEFunction,
    CARAFENaiveFunction,
    BorderAlignFunction,
)


def require_contiguous(operator: type[Function]) -> None:
    """Wrap ``forward`` of an autograd function so that it receives contiguous tensors.

    The original stays available as ``__wrapped__``. Wrapping twice has no further effect.
    """
    forward = operator.forward
    if hasattr(forward, '__wrapped__'):
        return

    @functools.wraps(forward)
    def contiguous_forward(ctx, *args, **kwargs):
        return forward(ctx, *map(contiguous, args), **{k: contiguous(v) for k, v in kwargs.items()})

    def contiguous(value):
        if not isinstance(value, Tensor) or value.is_contiguous():
            return value
        _log_once(operator.__name__.removesuffix('Function'))
        return value.contiguous()

    operator.forward = staticmethod(contiguous_forward)


@functools.cache
def _log_once(name: str) -> None:
    print_log(
        f'{name} of mmcv {mmcv.__version__} misreads maps that are not contiguous, such as '
        'channels-last ones; it receives copies',
        logger='current',
        level=logging.INFO,
    )


for _operator in OPERATORS:
    require_contiguous(_operator)
