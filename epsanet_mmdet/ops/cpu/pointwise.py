"""1x1 convolutions on CPUs by our own kernel, fused with what surrounds them; and gradients."""

from typing import Optional

import torch
from torch import Tensor

from . import kernels

# Maps of fewer pixels are copied side by side, because larger matrices are faster to multiply.
SMALL_MAP = 128


def pointwise(
    x: Tensor,
    weight: Tensor,
    scale: Optional[Tensor] = None,
    shift: Optional[Tensor] = None,
    stride: int = 1,
    relu: bool = False,
    add: Optional[Tensor] = None,
    in_scale: Optional[Tensor] = None,
    in_shift: Optional[Tensor] = None,
    transposed: bool = False,
) -> Tensor:
    """Compute :func:`~.evaluation.pointwise_conv`, optionally without scale and shift.

    The weight is (out_channels, C, 1, 1), or (C, out_channels, 1, 1) if ``transposed``, which makes
    the result the gradient of a convolution of stride 1 with respect to its input.
    """
    batch, channels, height, width = x.shape
    outputs = weight.shape[transposed]
    if x.numel() == 0 or outputs == 0 or stride < 1 or (in_scale is None) != (in_shift is None):
        raise RuntimeError(
            f'the kernel for 1x1 convolutions needs values, a stride of at least 1 and in_scale '
            f'together with in_shift, but got a map {tuple(x.shape)}, {outputs} output channels '
            f'and stride={stride}'
        )
    scale = x.new_ones(outputs) if scale is None else scale
    shift = x.new_zeros(outputs) if shift is None else shift
    x, weight, scale, shift = (t.contiguous() for t in (x, weight, scale, shift))
    in_scale, in_shift, add = (
        t if t is None else t.contiguous() for t in (in_scale, in_shift, add)
    )
    out = kernels.fresh(x, *output_shape(x, outputs, stride))
    address, matrix = kernels.address, (channels, outputs) if transposed else (outputs, channels)
    numbers = [
        address(x, batch, channels, height, width),
        *(batch, channels, height, width, channels * height * width),
        *(stride, torch.get_num_threads()),
        address(weight, *matrix, 1, 1),
        *(address(scale, outputs), address(shift, outputs)),
        *(address(in_scale, batch, channels), address(in_shift, channels)),
        *(address(add, *out.shape), address(out, *out.shape)),
        *(*out.shape[1:], relu, transposed),
    ]
    kernels.call('pointwise', numbers)
    return out


def output_shape(x: Tensor, outputs: int, stride: int) -> tuple:
    """Return (B, outputs, ceil(H / stride), ceil(W / stride))."""
    return (x.shape[0], outputs, *[(side + stride - 1) // stride for side in x.shape[2:]])


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of a 1x1 convolution of stride 1 with respect to its weight.

    Args:
        grad: (B, out_channels, H, W), gradient of the output.
        x: (B, C, H, W).

    Returns:
        (out_channels, C, 1, 1).
    """
    out = kernels.fresh(x, grad.shape[1], x.shape[1])
    if len(x) > 1 and x.shape[2] * x.shape[3] < SMALL_MAP:
        torch.mm(_side_by_side(grad), _side_by_side(x).t(), out=out)
    else:
        torch.mm(grad[0].flatten(1), x[0].flatten(1).t(), out=out)
        for of_image, image in zip(grad[1:], x[1:]):
            out.addmm_(of_image.flatten(1), image.flatten(1).t())
    return out[..., None, None]


def _side_by_side(x: Tensor) -> Tensor:
    """Rearrange (B, C, H, W) to (C, B * H * W)."""
    return x.transpose(0, 1).flatten(1)
