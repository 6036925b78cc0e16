"""Grouped convolutions with few channels per group on CPUs, by our own kernel."""

from typing import List, NamedTuple, Sequence

import torch
from torch import Tensor

from . import kernels

LARGEST_KERNEL = 9


class Conv(NamedTuple):
    """A convolution with an odd square kernel and the padding that keeps the size at stride 1.

    Attributes:
        weight: (out_channels, in_channels / groups, k, k), contiguous.
        groups: Number of groups.
        stride: Stride; 1 where dilation is not 1.
        dilation: Dilation.
    """

    weight: Tensor
    groups: int
    stride: int
    dilation: int

    @property
    def reach(self) -> int:
        return self.dilation * (self.weight.shape[-1] // 2)


def forward(x: Tensor, convs: Sequence[Conv], outs: Sequence[Tensor]) -> None:
    """Convolve x by several convolutions of the same stride.

    Args:
        x: (B, C, H, W), each image contiguous.
        convs: The convolutions.
        outs: Outputs to write to, (B, out_channels, ceil(H / stride), ceil(W / stride)) each.
    """
    _check(x, convs, outs)
    correlations = [
        _correlation(conv.weight, out, conv.groups, conv.reach, (0, 0), conv.dilation)
        for conv, out in zip(convs, outs)
    ]
    _correlate(_map(x, convs[0].stride), correlations)


def input_gradient(grad: Tensor, conv: Conv, out: Tensor, accumulate: bool) -> None:
    """Compute the gradient of a convolution with respect to its input.

    It is a correlation of the output's gradient with the transposed weight, rotated by 180 degrees.
    With a stride, there is one correlation for each remainder of the input's rows and columns, with
    the taps that reach them.

    Args:
        grad: (B, out_channels, out_h, out_w), gradient of the output, each image contiguous.
        conv: The convolution.
        out: Gradient to write or add to, (B, C, H, W).
        accumulate: Add to ``out``.
    """
    _check(out, [conv], [grad])
    outputs, inputs, size, _ = conv.weight.shape
    split = conv.weight.view(conv.groups, outputs // conv.groups, inputs, size, size)
    rotated = split.transpose(1, 2).flip(3, 4).flatten(0, 1)
    stride, pad = conv.stride, -(-conv.reach // conv.stride)
    correlations, kept = [], []
    for i in range(min(stride, out.shape[2])):
        for j in range(min(stride, out.shape[3])):
            part = out[:, :, i::stride, j::stride]
            # Input i is reached by the taps k = i + reach modulo the stride.
            first = [(r + conv.reach) % stride for r in (i, j)]
            if max(first) >= size:
                if not accumulate:
                    part.zero_()
                continue
            last = [f + (size - 1 - f) // stride * stride for f in first]
            rows, columns = (slice(size - 1 - k, None, stride) for k in last)
            weight = rotated[:, :, rows, columns].contiguous()
            kept.append(weight)
            if stride == 1:
                shift = [0, 0]
            else:
                shift = [pad + (r + conv.reach - k) // stride for r, k in zip((i, j), last)]
            correlations.append(
                _correlation(weight, part, conv.groups, pad, shift, conv.dilation, accumulate)
            )
    _correlate(_map(grad, 1), correlations)


def weight_gradients(
    x: Tensor, grads: Sequence[Tensor], convs: Sequence[Conv], outs: Sequence[Tensor]
) -> None:
    """Compute the gradients of convolutions of the same stride with respect to their weights.

    Args:
        x: (B, C, H, W), each image contiguous.
        grads: Gradients of the outputs, (B, out_channels, out_h, out_w), each map contiguous.
        convs: The convolutions, with kernels up to 9x9.
        outs: Gradients to write to, shaped like the weights and contiguous.
    """
    _check(x, convs, grads)
    numbers = _map(x, convs[0].stride)
    for grad, conv, out in zip(grads, convs, outs):
        outputs, inputs, size, _ = conv.weight.shape
        numbers += [kernels.address(grad, *grad.shape, free=2)]
        numbers += [kernels.address(out, *conv.weight.shape)]
        numbers += [conv.groups, outputs // conv.groups, inputs, size, conv.dilation]
        numbers += [*grad.shape[2:], *grad.stride()[:2]]
    kernels.call('weight_gradient', numbers, len(convs))


def _check(x: Tensor, convs: Sequence[Conv], outs: Sequence[Tensor]) -> None:
    """Raise a RuntimeError unless the kernel supports the convolutions and the shapes match."""
    for conv, out in zip(convs, outs, strict=True):
        outputs, inputs, height, width = conv.weight.shape
        size = [-(-side // max(conv.stride, 1)) for side in x.shape[2:]]
        if not (
            min(*x.shape, *conv.weight.shape, conv.groups, conv.stride, conv.dilation) >= 1
            and min(conv.stride, conv.dilation) == 1
            and conv.stride == convs[0].stride
            and height == width <= LARGEST_KERNEL
            and height % 2 == 1
            and outputs % conv.groups == 0
            and x.shape[1] == conv.groups * inputs
            and out.shape == (x.shape[0], outputs, *size)
        ):
            raise RuntimeError(
                f'the direct kernel cannot convolve {tuple(x.shape)} to {tuple(out.shape)} by '
                f'{tuple(conv.weight.shape)} with groups={conv.groups}, stride={conv.stride} and '
                f'dilation={conv.dilation}'
            )


def _map(x: Tensor, stride: int) -> List[int]:
    at = kernels.address(x, *x.shape, free=1)
    return [at, *x.shape, x.stride(0), stride, torch.get_num_threads()]


def _correlation(
    weight: Tensor,
    out: Tensor,
    groups: int,
    pad: int,
    shift: Sequence[int],
    dilation: int,
    accumulate: bool = False,
) -> List[int]:
    outputs, inputs, *kernel = weight.shape
    at = [kernels.address(weight, *weight.shape), kernels.address(out, *out.shape, free=4)]
    numbers = [*at, groups, outputs // groups, inputs, *kernel]
    return [*numbers, pad, *shift, dilation, *out.shape[2:], *out.stride(), accumulate]


def _correlate(numbers: List[int], correlations: Sequence[List[int]]) -> None:
    for correlation in correlations:
        numbers += correlation
    kernels.call('correlate', numbers, len(correlations))
