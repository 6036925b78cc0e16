"""Gradients of the branches of a PSA module on GPUs."""

from math import ceil
from typing import Callable, List, Optional, Set, Tuple

import torch
from torch import Tensor

from ..parts import Branches
from .blocked_conv import blocked_conv, tile_count, weight_gradient
from .branches import Geometry, concurrently, gradient_geometry
from .packing import Packing, packing
from .plan import ConvPlan, weight_gradient_tile
from .verify import bound, check_close, nchw

_CHECKED: Set[tuple] = set()


def branch_gradients(
    branches: Branches,
    geometry: Geometry,
    packed: Packing,
    flat: Tensor,
    write: Callable[[Tensor], None],
    pad: Callable[[], Tensor],
) -> Tuple[Tensor, List[Optional[Tensor]]]:
    """Return the gradients of the branches' map and weights.

    The first time for a geometry, they are compared with torch's in float64.

    Args:
        branches: The branches.
        geometry: How their features were computed.
        packed: Packing of their weights.
        flat: Their weights, concatenated.
        write: Function that writes the gradient of the features to (B, H, W, branches * width).
        pad: Function that returns the padded map.
    """
    x, compute, width = pad(), geometry.compute, branches.width
    batch, channels = len(x), branches.in_channels
    own = gradient_geometry(branches, batch, geometry.size, compute)
    padded, inside = own.pad(x, width * len(branches.weights))
    grad = inside[:, :: branches.stride, :: branches.stride]
    write(grad)
    shapes = tuple(weight.shape for weight in branches.weights)
    turned = packing(shapes, own.plans, True, x.device).pack(flat, compute.dtype)
    of_x = x.new_empty(batch, *geometry.size, channels)

    def compute_of_x() -> None:
        for i, (plan, weight) in enumerate(zip(own.plans, turned)):
            source = own.source(padded, plan)[..., i * width : (i + 1) * width]
            blocked_conv(source, weight, of_x, *plan, compute.precision, accumulate=i > 0)

    of_weights = [None] * len(branches.weights)
    if any(weight.requires_grad for weight in branches.weights):
        total = x.new_empty(len(packed.index), dtype=torch.float32)
        calls = weight_gradients(geometry, packed, x, grad, total)
        concurrently([compute_of_x, *calls], x)
        parts = packed.unpack(total).split([weight.numel() for weight in branches.weights])
        of_weights = [g.view(w.shape).to(w.dtype) for g, w in zip(parts, branches.weights)]
    else:
        compute_of_x()
    if x.is_cuda and (batch, geometry) not in _CHECKED:
        _check(branches, geometry, x, grad, of_x, of_weights)
        _CHECKED.add((batch, geometry))
    return of_x, of_weights


def weight_gradients(
    geometry: Geometry, packed: Packing, x: Tensor, grad: Tensor, total: Tensor
) -> List[Callable[[], None]]:
    """Return a function for each branch that computes the gradient of its packed weight.

    Args:
        geometry: How the features of the branches were computed.
        packed: Packing of their weights.
        x: The padded map.
        grad: Gradient of the features.
        total: Receives the gradients of the packed weights, concatenated; float32.
    """
    compute, width = geometry.compute, grad.shape[3] // len(geometry.plans)
    tile, precision = weight_gradient_tile(compute.precision)

    def call(plan: ConvPlan, grad: Tensor, out: Tensor) -> Callable[[], None]:
        # Enough programs for the GPU, each with a whole number of tiles.
        programs = len(out) * ceil(out.shape[2] / tile.depth)
        most = len(x) * tile_count(*geometry.out, plan.blocking, tile)
        parts = max(1, min(most, round(2 * compute.multiprocessors / programs)))
        partial = out.new_empty(parts, *out.shape)

        def of_weight() -> None:
            weight_gradient(geometry.source(x, plan), grad, partial, plan.blocking, tile, precision)
            torch.sum(partial, 0, out=out)

        return of_weight

    return list(map(call, geometry.plans, grad.split(width, -1), packed.split(total)))


def _check(
    branches: Branches,
    geometry: Geometry,
    x: Tensor,
    grad: Tensor,
    of_x: Tensor,
    of_weights: List[Optional[Tensor]],
) -> None:
    margin, (height, width) = geometry.margin, geometry.size
    x = nchw(x[:, margin : margin + height, margin : margin + width])
    most = bound(geometry.compute.dtype, geometry.compute.precision)
    total = 0
    for i, (weight, groups) in enumerate(zip(branches.weights, branches.groups)):
        own = nchw(grad[..., i * branches.width : (i + 1) * branches.width])
        reach = branches.dilation * (weight.shape[-1] // 2)
        used = weight.detach().to(geometry.compute.dtype).double()
        sides = [[side] * 2 for side in (branches.stride, reach, branches.dilation)]
        options = (*sides, False, [0, 0], groups, [True, True, False])
        part, of_weight, _ = torch.ops.aten.convolution_backward(own, x, used, None, *options)
        total = total + part
        if of_weights[i] is not None:
            check_close("gradient of a branch's weight", of_weights[i], of_weight, most)
    check_close("gradient of the branches' map", nchw(of_x), total, most)
