"""Several convolutions of one map into one tensor, as one operator of torch."""

from itertools import combinations
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import cpu_kernels, direct_conv
from .conv_plan import DIRECT, NARROW, merged_groups, narrow_forward, plan_convs
from .direct_conv import Conv
from .grouped_conv import merge_groups, split_groups

torch.library.define(
    'epsanet_mmdet::branch_convs',
    '(Tensor x, Tensor[] weights, int[] groups, int stride, int dilation) -> Tensor',
    tags=torch.Tag.pt2_compliant_tag,
)
torch.library.define(
    'epsanet_mmdet::branch_convs_backward',
    '(Tensor grad, Tensor x, Tensor[] weights, int[] groups, int stride, int dilation,'
    ' bool[] needed) -> Tensor[]',
    tags=torch.Tag.pt2_compliant_tag,
)


def branch_convs(
    x: Tensor, weights: Sequence[Tensor], groups: Sequence[int], stride: int, dilation: int
) -> Tensor:
    """Convolve x by every weight, with the padding that keeps the map's size.

    On CPUs in float32 this is one operator, known to autograd, ``torch.compile`` and
    ``torch.export``, in which those branches that it pays for are computed by our own kernel.
    Elsewhere it is the library's convolutions.

    Args:
        x: (B, C, H, W).
        weights: (out_channels, C / groups, k, k) each, with odd k and equal out_channels.
        groups: Groups of each.
        stride: Stride of all.
        dilation: Dilation of all.

    Returns:
        (B, branches, out_channels, ceil(H / stride), ceil(W / stride)).
    """
    plans = plan_convs(x, weights, groups, stride, dilation)
    if DIRECT in plans and not cpu_kernels.for_another_program():
        return torch.ops.epsanet_mmdet.branch_convs(x, weights, groups, stride, dilation)
    features = [None] * len(weights)
    merged = [merged_groups(x.shape[1], g, x) for g in groups]
    for i, j in _pairs(x, weights, merged):
        if i == j:
            features[i] = library_conv(x, weights[i], groups[i], stride, dilation, merged[i])
            continue
        pair = [merge_groups(weights[k], groups[k], merged[k]) for k in (i, j)]
        out = library_conv(x, _joined(pair, merged[i]), merged[i], stride, dilation, merged[i])
        parts = out.unflatten(1, (merged[i], 2, -1)).unbind(2)
        features[i], features[j] = (part.flatten(1, 2) for part in parts)
    return torch.stack(features, dim=1)


def _pairs(x: Tensor, weights: Sequence[Tensor], merged: Sequence[int]) -> List[Tuple[int, int]]:
    """Branches to be computed as one convolution, and the others, each paired with itself.

    A pair has groups in common, so few outputs in each that CPUs would idle, and kernels of equal
    size, or the next smaller, which gets zeros around.
    """
    here = x.device.type == 'cpu' and x.is_contiguous() and not torch.compiler.is_compiling()
    sizes = [w.shape[-1] for w in weights]
    alone = set(range(len(weights)))
    pairs = []
    for difference in (0, 2) if here else ():
        for i, j in combinations(sorted(alone, key=lambda i: -sizes[i]), 2):
            few = merged[i] == merged[j] and len(weights[i]) // merged[i] < 8
            if few and sizes[i] - sizes[j] == difference and {i, j} <= alone:
                pairs.append((i, j))
                alone -= {i, j}
    return [*pairs, *((i, i) for i in alone)]


def _joined(pair: Sequence[Tensor], groups: int) -> Tensor:
    """The weight of one convolution whose groups have the outputs of both."""
    margins = [(pair[0].shape[-1] - weight.shape[-1]) // 2 for weight in pair]
    padded = [F.pad(weight, (margin,) * 4) for weight, margin in zip(pair, margins)]
    return torch.stack([w.unflatten(0, (groups, -1)) for w in padded], dim=1).flatten(0, 2)


def library_conv(
    x: Tensor, weight: Tensor, groups: int, stride: int, dilation: int, merged: int
) -> Tensor:
    """One branch by the library, with its groups merged to fewer."""
    if merged != groups:
        weight = merge_groups(weight, groups, merged)
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, None, stride, padding, dilation, merged)


@torch.library.impl('epsanet_mmdet::branch_convs', 'cpu')
def _forward(
    x: Tensor, weights: Sequence[Tensor], groups: Sequence[int], stride: int, dilation: int
) -> Tensor:
    features = cpu_kernels.fresh(x, *_shape(x, weights, stride))
    narrow = narrow_forward(x, stride)
    direct, library = _split(x, weights, groups, stride, dilation, narrow)
    if direct:
        convs = [Conv(weights[i].contiguous(), groups[i], stride, dilation) for i in direct]
        direct_conv.forward(x.contiguous(), convs, [features[:, i] for i in direct])
    for i, merged in library:
        features[:, i] = library_conv(x, weights[i], groups[i], stride, dilation, merged)
    return features


@torch.library.impl('epsanet_mmdet::branch_convs_backward', 'cpu')
def _backward(
    grad: Tensor,
    x: Tensor,
    weights: Sequence[Tensor],
    groups: Sequence[int],
    stride: int,
    dilation: int,
    needed: Sequence[bool],
) -> List[Tensor]:
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
    """Branches for our own kernel, and those for the library with their merged groups."""
    plans = plan_convs(x, weights, groups, stride, dilation, narrow)
    if x.numel() == 0:
        plans = list(groups)
    direct = [i for i, plan in enumerate(plans) if plan == DIRECT]
    return direct, [(i, plan) for i, plan in enumerate(plans) if plan != DIRECT]


def _library_backward(
    grad, x, weights, groups, stride, dilation, needed, merged: Dict[int, int]
) -> Tuple[Optional[Tensor], List[Optional[Tensor]]]:
    """Gradients of x and the weights through the branches of ``merged``, by the library."""
    x_needed, *weight_needed = needed
    grad_x, grads = None, [None] * len(weights)
    for i, fewer in merged.items():
        weight = merge_groups(weights[i], groups[i], fewer) if fewer != groups[i] else weights[i]
        reach, height = dilation * (weight.shape[-1] // 2), x.shape[2]
        # oneDNN has fast gradients only of weights that are no higher than the map.
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


def _shape(x: Tensor, weights: Sequence[Tensor], stride: int) -> List[int]:
    size = [(side + stride - 1) // stride for side in x.shape[2:]]
    return [x.shape[0], len(weights), weights[0].shape[0], *size]


@torch.library.register_fake('epsanet_mmdet::branch_convs')
def _(x, weights, groups, stride, dilation):
    return x.new_empty(_shape(x, weights, stride))


@torch.library.register_fake('epsanet_mmdet::branch_convs_backward')
def _(grad, x, weights, groups, stride, dilation, needed):
    tensors = [x, *weights]
    return [t.new_empty(t.shape if need else 0) for t, need in zip(tensors, needed)]


def _save(ctx, inputs, output) -> None:
    x, weights, *ctx.options = inputs
    ctx.save_for_backward(x, *weights)


def _differentiate(ctx, grad: Tensor):
    x, *weights = ctx.saved_tensors
    needed = [ctx.needs_input_grad[0], *ctx.needs_input_grad[1]]
    if torch.is_grad_enabled():  # to be differentiated again, which the library can
        by_library = dict(enumerate(ctx.options[0]))
        grad_x, grads = _library_backward(grad, x, weights, *ctx.options, needed, by_library)
        return grad_x, grads, None, None, None
    grads = torch.ops.epsanet_mmdet.branch_convs_backward(grad, x, weights, *ctx.options, needed)
    grads = [g if need else None for g, need in zip(grads, needed)]
    return grads[0], grads[1:], None, None, None


torch.library.register_autograd('epsanet_mmdet::branch_convs', _differentiate, setup_context=_save)
