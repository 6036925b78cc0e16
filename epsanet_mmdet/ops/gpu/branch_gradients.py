"""Gradients of the branches of a PSA module on GPUs."""

from typing import Callable, List, Optional, Set, Tuple

import torch
from torch import Tensor

from ..parts import Branches
from .blocked_conv import blocked_conv, tile_count, weight_gradient
from .branches import Geometry, gradient_geometry
from .packing import Packing, packing
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
    for i, (plan, weight) in enumerate(zip(own.plans, turned)):
        source = own.source(padded, plan)[..., i * width : (i + 1) * width]
        blocked_conv(source, weight, of_x, *plan, compute.precision, accumulate=i > 0)
    of_weights = [None] * len(branches.weights)
    if any(weight.requires_grad for weight in branches.weights):
        of_weights = _of_weights(branches, geometry, packed, x, grad)
    if x.is_cuda and (batch, geometry) not in _CHECKED:
        _check(branches, geometry, x, grad, of_x, of_weights)
        _CHECKED.add((batch, geometry))
    return of_x, of_weights


def _of_weights(
    branches: Branches, geometry: Geometry, packed: Packing, x: Tensor, grad: Tensor
) -> List[Tensor]:
    weights, width, plans = branches.weights, branches.width, geometry.plans
    # Enough programs for the GPU, each with a whole number of tiles.
    programs = sum(
        shape[0] * shape[2] // plan.tile.depth for shape, plan in zip(packed.shapes, plans)
    ) / len(weights)
    most = min(len(x) * tile_count(*geometry.out, *plan) for plan in plans)
    parts = max(1, min(most, round(2 * geometry.compute.multiprocessors / programs)))
    partial = x.new_empty(parts, len(packed.index), dtype=torch.float32)
    for i, (plan, out) in enumerate(zip(plans, packed.split(partial))):
        own, source = slice(i * width, (i + 1) * width), geometry.source(x, plan)
        weight_gradient(source, grad[..., own], out, *plan, geometry.compute.precision)
    of_weights = packed.unpack(partial).split([weight.numel() for weight in weights])
    return [g.view(w.shape).to(w.dtype) for g, w in zip(of_weights, weights)]


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
