"""Gradients of 1x1 convolutions as products of matrices, which for them are faster than the library's."""

import torch
from torch import Tensor

from . import cpu_kernels

# Pixels below which the images of a batch are copied side by side, for products that are large enough.
SMALL_MAP = 128


def input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    """Gradient of a 1x1 convolution of stride 1 with respect to its input.

    Args:
        grad: (B, out_channels, H, W), gradient of the output.
        weight: (out_channels, C, 1, 1).

    Returns:
        (B, C, H, W).
    """
    turned, (batch, _, *size) = weight.flatten(1).t(), grad.shape
    if _is_small(grad):
        return (turned @ side_by_side(grad)).unflatten(1, (batch, *size)).transpose(0, 1).contiguous()
    out = cpu_kernels.fresh(grad, batch, weight.shape[1], *size)
    for image, result in zip(grad, out):
        torch.mm(turned, image.flatten(1), out=result.flatten(1))
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
