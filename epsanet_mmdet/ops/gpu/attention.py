"""Triton kernel of PSA's attention and the scale of the norm after it."""

from typing import List, Optional, Sequence, Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .checks import attention_case, check_attention
from .verify import verified


@triton.jit(do_not_specialize=['rows', 'pixels'])
def _attention_kernel(
    sums, w1, b1, w2, b2, scale, out,
    rows, pixels, hidden,
    WIDTH: tl.constexpr, HIDDEN: tl.constexpr, BRANCHES: tl.constexpr, ROWS: tl.constexpr,
    SCALED: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    q, h, r = tl.arange(0, WIDTH), tl.arange(0, HIDDEN), tl.arange(0, ROWS)
    real = h < hidden
    weight1 = tl.load(w1 + h[:, None] * WIDTH + q[None, :], mask=real[:, None], other=0.0)
    weight2 = tl.load(w2 + q[:, None] * hidden + h[None, :], mask=real[None, :], other=0.0)
    bias1, bias2 = tl.load(b1 + h, mask=real, other=0.0), tl.load(b2 + q)
    channels: tl.constexpr = WIDTH * BRANCHES
    sums += image * rows * channels
    out += image * channels
    total = tl.zeros((WIDTH,), dtype=tl.float32)
    for branch in tl.static_range(BRANCHES):
        mean = tl.zeros((WIDTH,), dtype=tl.float32)
        for first in range(0, rows, ROWS):
            row = first + r
            place = sums + row[:, None] * channels + branch * WIDTH + q[None, :]
            mean += tl.sum(tl.load(place, mask=(row < rows)[:, None], other=0.0), 0)
        mean = mean / pixels
        inner = tl.maximum(tl.sum(weight1 * mean[None, :], 1) + bias1, 0.0)
        score = tl.sigmoid(tl.sum(weight2 * inner[None, :], 1) + bias2)
        exponential = tl.exp(score)
        total += exponential
        tl.store(out + branch * WIDTH + q, exponential)
    tl.debug_barrier()
    for branch in tl.static_range(BRANCHES):
        value = tl.load(out + branch * WIDTH + q) / total
        if SCALED:
            value *= tl.load(scale + branch * WIDTH + q)
        tl.store(out + branch * WIDTH + q, value)


@verified(attention_case, check_attention)
def scaled_attention(
    sums: Tensor,
    squeeze: Sequence[Tensor],
    scale: Optional[Tensor],
    out: Tensor,
    branches: int,
    pixels: int,
) -> None:
    """Compute ``scale * attention`` from sums of the branches' features.

    Args:
        sums: (B, rows, branches * C), float32; the sum over the rows and over all pixels counts.
        squeeze: Weights (hidden, C) and (C, hidden) and biases of the squeeze MLP, as
            (weight1, bias1, weight2, bias2), contiguous and float32.
        scale: (branches * C,); 1 if None.
        out: (B, branches * C), float32.
        branches: Number of branches.
        pixels: Pixels of an image.
    """
    batch, rows, channels = sums.shape
    hidden = len(squeeze[1])
    _attention_kernel[(batch,)](
        sums, *squeeze, scale, out,
        rows, pixels, hidden,
        WIDTH=channels // branches,
        HIDDEN=triton.next_power_of_2(hidden),
        BRANCHES=branches,
        ROWS=max(1, min(triton.next_power_of_2(rows), 4096 // (channels // branches))),
        SCALED=scale is not None,
        num_warps=4,
    )  # fmt: skip


@triton.jit
def _gradient_kernel(
    sums, grad, w1, b1, w2, b2, of_sums, of_w1, of_b1, of_w2, of_b2,
    pixels, hidden, sums_image,
    WIDTH: tl.constexpr, HIDDEN: tl.constexpr, BRANCHES: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    q, h = tl.arange(0, WIDTH), tl.arange(0, HIDDEN)
    real = h < hidden
    down, up = h[:, None] * WIDTH + q[None, :], q[:, None] * hidden + h[None, :]
    weight1 = tl.load(w1 + down, mask=real[:, None], other=0.0)
    weight2 = tl.load(w2 + up, mask=real[None, :], other=0.0)
    bias1, bias2 = tl.load(b1 + h, mask=real, other=0.0), tl.load(b2 + q)
    channels: tl.constexpr = WIDTH * BRANCHES
    sums += image * sums_image
    grad += image * channels
    of_sums += image * channels
    total, dot = tl.zeros((WIDTH,), dtype=tl.float32), tl.zeros((WIDTH,), dtype=tl.float32)
    for branch in tl.static_range(BRANCHES):
        mean = tl.load(sums + branch * WIDTH + q) / pixels
        inner = tl.maximum(tl.sum(weight1 * mean[None, :], 1) + bias1, 0.0)
        score = tl.sigmoid(tl.sum(weight2 * inner[None, :], 1) + bias2)
        exponential = tl.exp(score)
        total += exponential
        dot += exponential * tl.load(grad + branch * WIDTH + q)
    dot /= total
    grad_w1 = tl.zeros((HIDDEN, WIDTH), dtype=tl.float32)
    grad_w2 = tl.zeros((WIDTH, HIDDEN), dtype=tl.float32)
    grad_b1, grad_b2 = tl.zeros((HIDDEN,), tl.float32), tl.zeros((WIDTH,), tl.float32)
    for branch in tl.static_range(BRANCHES):
        mean = tl.load(sums + branch * WIDTH + q) / pixels
        inner = tl.maximum(tl.sum(weight1 * mean[None, :], 1) + bias1, 0.0)
        score = tl.sigmoid(tl.sum(weight2 * inner[None, :], 1) + bias2)
        of_score = tl.exp(score) / total * (tl.load(grad + branch * WIDTH + q) - dot)
        of_score *= score * (1 - score)
        of_inner = tl.where(inner > 0, tl.sum(weight2 * of_score[:, None], 0), 0.0)
        grad_b1 += of_inner
        grad_b2 += of_score
        grad_w1 += of_inner[:, None] * mean[None, :]
        grad_w2 += of_score[:, None] * inner[None, :]
        of_mean = tl.sum(weight1 * of_inner[:, None], 0)
        tl.store(of_sums + branch * WIDTH + q, of_mean / pixels)
    tl.store(of_w1 + image * hidden * WIDTH + down, grad_w1, mask=real[:, None])
    tl.store(of_w2 + image * hidden * WIDTH + up, grad_w2, mask=real[None, :])
    tl.store(of_b1 + image * hidden + h, grad_b1, mask=real)
    tl.store(of_b2 + image * WIDTH + q, grad_b2)


def attention_gradient(
    sums: Tensor, grad: Tensor, squeeze: Sequence[Tensor], branches: int, pixels: int
) -> Tuple[Tensor, List[Tensor]]:
    """Return the gradients of the sums and of the squeeze MLP's tensors.

    Args:
        sums: (B, branches * C), float32; the sums of the features over all pixels.
        grad: Gradient of the attention, (B, branches * C).
        squeeze: See :func:`scaled_attention`.
        branches: Number of branches.
        pixels: Pixels of an image.
    """
    batch, channels = grad.shape
    of_sums = torch.empty_like(grad)
    sizes = [t.numel() for t in squeeze]
    of_squeeze = grad.new_empty(sum(sizes) * batch)
    parts = [part.view(batch, -1) for part in of_squeeze.split([batch * size for size in sizes])]
    _gradient_kernel[(batch,)](
        sums, grad, *squeeze, of_sums, *parts,
        pixels, len(squeeze[1]), sums.stride(0),
        WIDTH=channels // branches,
        HIDDEN=triton.next_power_of_2(len(squeeze[1])),
        BRANCHES=branches,
        num_warps=4,
    )  # fmt: skip
    return of_sums, [part.sum(0) for part in parts]
