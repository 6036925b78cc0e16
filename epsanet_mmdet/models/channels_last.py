"""Channels-last maps for mmcv's operators, which read them as if they were contiguous.

The fault: mmcv 2.0 to 2.2 (measured with 2.1.0, on CPUs) hands the memory of its inputs to compiled
code that expects contiguous tensors, mostly without checking that they are. From channels-last
maps, as networks in that memory format compute them, RoIAlign and DCNv2 compute something else
without an error; DCNv1 stops with one. The weights of such a network are channels-last as well.

The remedy: :func:`require_contiguous` wraps ``forward`` of the autograd functions of those
operators when this package is imported. So it holds for every model, in training, testing and
inference, in heads and inside backbones. Contiguous tensors are passed on as they are; an
operator's first copy is logged. Backward needs nothing: mmcv makes the gradients contiguous.

It can go when mmcv makes its inputs contiguous; ``tests/models/test_channels_last.py`` fails then.
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

# All that take feature maps in mmdet.
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
    """Wrap the forward of an autograd function, so that it sees contiguous tensors only.

    The original stays as its ``__wrapped__``. Wrapping twice changes nothing.
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
        'channels-last ones; they are copied for it',
        logger='current',
        level=logging.INFO,
    )


for _operator in OPERATORS:
    require_contiguous(_operator)
