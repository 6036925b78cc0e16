"""Several convolutions of one map into one tensor on CPUs, as an operator of torch.

Our own kernel computes branches with few channels per group, where it is faster. The library
computes the others with merged groups.
"""

from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...layers.deployed_psa import split_groups
from ..merging import library_conv, library_convs, merge_groups, merged_groups
from ..parts import Branches
from ..support import gradient_is_observed
from . import direct_conv, kernels
from .direct_conv import LARGEST_KERNEL, Conv
from .operators import operator

# The direct kernel is faster up to NARROW input channels per group, and in forward passes over maps
# of at least WIDE_MAP columns up to NARROW_FORWARD.
NARROW, NARROW_FORWARD, WIDE_MAP = 16, 32, 20


def computed_directly(
    x: Tensor,
    weights: Sequence[Tensor],
    groups: Sequence[int],
    stride: int,
    dilation: int,
    narrow: int = NARROW,
) -> List[int]:
    """Return the indices of the convolutions that the direct kernel computes faster.

    The choice follows fixed rules, so equal inputs are always computed in the same way.

    Args:
        x: (B, C, H, W).
        weights: (out_channels, C / groups, k, k) each.
        groups: Groups of each.
        stride: Stride of all.
        dilation: Dilation of all.
        narrow: Greatest number of input channels per group for the direct kernel.
    """
    possible = min(stride, dilation) == 1 and kernels.supports(x, *weights) and x.dim() == 4
    if not possible or x.numel() == 0:
        return []
    return [i for i, (w, g) in enumerate(zip(weights, groups)) if _pays(x, w, g, narrow)]


def _pays(x: Tensor, weight: Tensor, groups: int, narrow: int) -> bool:
    outputs, inputs, height, width = weight.shape
    possible = (
        height == width
        and height % 2 == 1
        and height <= LARGEST_KERNEL
        and x.shape[1] == groups * inputs
        and outputs % groups == 0 < outputs
    )
    return groups > 1 and inputs <= narrow and possible


def _narrow_forward(x: Tensor, stride: int) -> int:
    """Return ``narrow`` for a forward pass over x."""
    return NARROW_FORWARD if stride == 1 and x.shape[-1] >= WIDE_MAP else NARROW


@operator(
    lambda x, weights, groups, stride, dilation: x.new_empty(_shape(x, weights, groups, stride))
)
def branch_convs(
    x: Tensor, weights: Sequence[Tensor], groups: Sequence[int], stride: int, dilation: int
) -> Tensor:
    """Compute :func:`~..merging.library_convs`, with our own kernel where that is faster."""
    features = kernels.fresh(x, *_shape(x, weights, groups, stride))
    narrow = _narrow_forward(x, stride)
    direct, library = _split(x, weights, groups, stride, dilation, narrow)
    if direct:
        convs = [Conv(weights[i].contiguous(), groups[i], stride, dilation) for i in direct]
        direct_conv.forward(x.contiguous(), convs, [features[:, i] for i in direct])
    for i, merged in library:
        features[:, i] = library_conv(x, weights[i], groups[i], stride, dilation, merged)
    return features


def branch_features(branches: Branches, x: Tensor) -> Tensor:
    """Convolve x by all branches: (B, C, H, W) -> (B, branches, width, H', W')."""
    function = branch_convs if computed_directly(x, *branches) else library_convs
    return function(x, *branches)


def _empty_gradients(grad, x, weights, groups, stride, dilation, needed) -> List[Tensor]:
    return [t.new_empty(t.shape if n else 0) for t, n in zip([x, *weights], needed)]


@operator(_empty_gradients)
def branch_convs_backward(
    grad: Tensor,
    x: Tensor,
    weights: Sequence[Tensor],
    groups: Sequence[int],
    stride: int,
    dilation: int,
    needed: Sequence[bool],
) -> List[Tensor]:
    """Return the gradients of x and the weights, which are empty where they are not needed."""
    x_needed, *weight_needed = needed
    direct, library = _split(x, weights, groups, stride, dilation)
    grad_x, grads = _library_backward(
        grad, x, weights, groups, stride, dilation, needed, dict(library)
    )
    x, grad = x.contiguous(), grad.contiguous()
    convs = {i: Conv(weights[i].contiguous(), groups[i], stride, dilation) for i in direct}
    if x_needed:
        accumulate = grad_x is not None
        grad_x = grad_x.contiguous() if accumulate else torch.empty_like(x)
        for i, conv in convs.items():
            direct_conv.input_gradient(grad[:, i], conv, grad_x, accumulate)
            accumulate = True
    learning = [i for i in direct if weight_needed[i]]
    for i in learning:
        grads[i] = torch.empty_like(convs[i].weight)
    if learning:
        direct_conv.weight_gradients(
            x,
            [grad[:, i] for i in learning],
            [convs[i] for i in learning],
            [grads[i] for i in learning],
        )
    return [x.new_empty(0) if g is None else g for g in (grad_x, *grads)]


def _split(
    x, weights, groups, stride, dilation, narrow=NARROW
) -> Tuple[List[int], List[Tuple[int, int]]]:
    """Return the branches for our own kernel, and the others with their merged groups."""
    direct = computed_directly(x, weights, groups, stride, dilation, narrow)
    others = [i for i in range(len(weights)) if i not in direct]
    if x.numel() == 0:
        return direct, [(i, groups[i]) for i in others]
    return direct, [(i, merged_groups(x.shape[1], groups[i], x)) for i in others]


def _library_backward(
    grad, x, weights, groups, stride, dilation, needed, merged: Dict[int, int]
) -> Tuple[Optional[Tensor], List[Optional[Tensor]]]:
    """Return the library's gradients of x and the weights through the branches in ``merged``."""
    x_needed, *weight_needed = needed
    grad_x, grads = None, [None] * len(weights)
    for i, fewer in merged.items():
        weight = merge_groups(weights[i], groups[i], fewer) if fewer != groups[i] else weights[i]
        reach, height = dilation * (weight.shape[-1] // 2), x.shape[2]
        # oneDNN's gradients of weights are fast only if the kernel is not higher than the map.
        margin = max(0, reach - (height - 1) // 2) if weight_needed[i] else 0
        padded = F.pad(x, (0, 0, margin, margin)) if margin else x
        padding, strides, dilations = [reach - margin, reach], [stride] * 2, [dilation] * 2
        options = (strides, padding, dilations, False, [0, 0], fewer)
        mask = [x_needed, weight_needed[i], False]
        own_x, own, _ = torch.ops.aten.convolution_backward(
            grad[:, i], padded, weight, None, *options, mask
        )
        if x_needed:
            own_x = own_x.narrow(2, margin, height)
            grad_x = own_x.contiguous() if grad_x is None else grad_x.add_(own_x)
        if weight_needed[i]:
            grads[i] = split_groups(own, groups[i], fewer) if fewer != groups[i] else own
    return grad_x, grads


def _shape(x: Tensor, weights: Sequence[Tensor], groups: Sequence[int], stride: int) -> List[int]:
    outputs = len(weights[0])
    if x.dim() != 4 or stride < 1 or len(groups) != len(weights):
        raise RuntimeError(
            f'branch_convs needs a map (B, C, H, W), a stride of at least 1 and groups for each '
            f'weight, but got {tuple(x.shape)}, {stride=}, {len(weights)} weights and {groups=}'
        )
    if any(len(weight) != outputs for weight in weights):
        shapes = [tuple(weight.shape) for weight in weights]
        raise RuntimeError(f'branch_convs needs weights of equal output channels, but got {shapes}')
    size = [(side + stride - 1) // stride for side in x.shape[2:]]
    return [x.shape[0], len(weights), outputs, *size]


def _save(ctx, inputs, output) -> None:
    x, weights, *ctx.options = inputs
    ctx.save_for_backward(x, *weights)


def _differentiate(ctx, grad: Tensor):
    x, *weights = ctx.saved_tensors
    needed = [ctx.needs_input_grad[0], *ctx.needs_input_grad[1]]
    if gradient_is_observed(grad):
        by_library = dict(enumerate(ctx.options[0]))
        grad_x, grads = _library_backward(grad, x, weights, *ctx.options, needed, by_library)
        return grad_x, grads, None, None, None
    grads = torch.ops.epsanet_mmdet.branch_convs_backward(grad, x, weights, *ctx.options, needed)
    grads = [g if need else None for g, need in zip(grads, needed)]
    return grads[0], grads[1:], None, None, None


torch.library.register_autograd('epsanet_mmdet::branch_convs', _differentiate, setup_context=_save)
