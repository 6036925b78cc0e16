"""Triton kernel of PSA's attention and the scale of the norm after it."""

from typing import Sequence

import triton
import triton.language as tl
from torch import Tensor

from .checks import attention_case, check_attention
from .verify import verified


@triton.jit
def _attention_kernel(
    sums, w1, b1, w2, b2, scale, out,
    rows, pixels, hidden,
    WIDTH: tl.constexpr, HIDDEN: tl.constexpr, BRANCHES: tl.constexpr, ROWS: tl.constexpr,
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
        tl.store(out + branch * WIDTH + q, value * tl.load(scale + branch * WIDTH + q))


@verified(attention_case, check_attention)
def scaled_attention(
    sums: Tensor, squeeze: Sequence[Tensor], scale: Tensor, out: Tensor, branches: int, pixels: int
) -> None:
    """Compute ``scale * attention`` from sums of the branches' features.

    Args:
        sums: (B, rows, branches * C), float32; the sum over the rows and over all pixels counts.
        squeeze: Weights (hidden, C) and (C, hidden) and biases of the squeeze MLP, as
            (weight1, bias1, weight2, bias2), contiguous and float32.
        scale: (branches * C,).
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
        num_warps=4,
    )  # fmt: skip
