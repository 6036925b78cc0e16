"""Gradients of 1x1 convolutions on CPUs, faster than the library's."""

import torch
from torch import Tensor

from . import cpu_kernels

# Below these pixels, a batch's images are copied side by side, for matrices that are large enough.
SMALL_MAP = 128


def input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    """Gradient of a 1x1 convolution of stride 1 with respect to its input.

    Args:
        grad: (B, out_channels, H, W), gradient of the output.
        weight: (out_channels, C, 1, 1).

    Returns:
        (B, C, H, W).
    """
    batch, channels, *size = grad.shape
    grad, weight = grad.contiguous(), weight.contiguous()
    out = cpu_kernels.fresh(grad, batch, weight.shape[1], *size)
    one, zero = grad.new_ones(weight.shape[1]), grad.new_zeros(weight.shape[1])
    map_ = [grad.data_ptr(), *grad.shape, grad.stride(0), 1, torch.get_num_threads()]
    tensors = [t.data_ptr() for t in (weight, one, zero)]
    cpu_kernels.call('pointwise', [*map_, *tensors, 0, 0, 0, out.data_ptr(), *out.shape[1:], 0, 1])
    return out


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Gradient of a 1x1 convolution of stride 1 with respect to its weight.

    Args:
        grad: (B, out_channels, H, W), gradient of the output.
        x: (B, C, H, W).

    Returns:
        (out_channels, C, 1, 1).
    """
    out = cpu_kernels.fresh(x, grad.shape[1], x.shape[1])
    if _is_small(grad):
        torch.mm(side_by_side(grad), side_by_side(x).t(), out=out)
    else:
        torch.mm(grad[0].flatten(1), x[0].flatten(1).t(), out=out)
        for of_image, image in zip(grad[1:], x[1:]):
            out.addmm_(of_image.flatten(1), image.flatten(1).t())
    return out[..., None, None]


def side_by_side(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (C, B * H * W)."""
    return x.transpose(0, 1).flatten(1)


def _is_small(x: Tensor) -> bool:
    return len(x) > 1 and x.shape[2] * x.shape[3] < SMALL_MAP
