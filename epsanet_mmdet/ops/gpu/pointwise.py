"""Triton kernel of 1x1 convolutions of channels-last maps, and of what precedes and follows."""

from typing import Optional

import torch
import triton
import triton.language as tl
from torch import Tensor

from .blocked_conv import _dot
from .checks import check_pointwise, pointwise_case
from .tiles import PointwiseTile
from .verify import verified


@triton.jit(do_not_specialize=['pixels', 'width', 'tiles'])
def _pointwise_kernel(
    x, w, y, in_scale, in_shift, scale, shift, add, sums, squares,
    pixels, width, tiles, inputs, outputs,
    sxn, sxh, sxw, swn, swk, syn, syh, syw, san, sah, saw,
    IN_AFFINE: tl.constexpr, AFFINE: tl.constexpr, ADD: tl.constexpr, RELU: tl.constexpr,
    MOMENTS: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    program, parts = tl.program_id(0), outputs // N
    tile, part = program // parts, program % parts
    image = (tile // tiles).to(tl.int64)
    pixel = (tile % tiles) * M + tl.arange(0, M)
    valid = pixel < pixels
    clamped = tl.where(valid, pixel, 0)
    at_y, at_x = clamped // width, clamped % width
    column = part * N + tl.arange(0, N)
    x += image * sxn
    start = at_y * sxh + at_x * sxw
    acc = tl.zeros((M, N), dtype=tl.float32)
    for first in range(0, inputs, K):
        k = first + tl.arange(0, K)
        a = tl.load(x + (start[:, None] + k[None, :]))
        b = tl.load(w + (k[:, None] * swk + column[None, :] * swn)).to(a.dtype)
        if IN_AFFINE:
            by = tl.load(in_scale + image * inputs + k)
            more = tl.load(in_shift + k)
            a = tl.maximum(a.to(tl.float32) * by[None, :] + more[None, :], 0.0).to(b.dtype)
        acc = _dot(a, b, acc, PRECISION, UPCAST)
    if AFFINE:
        acc = acc * tl.load(scale + column)[None, :] + tl.load(shift + column)[None, :]
    if ADD:
        place = add + image * san + (at_y * sah + at_x * saw)[:, None] + column[None, :]
        acc += tl.load(place, mask=valid[:, None], other=0.0).to(tl.float32)
    if RELU:
        acc = tl.maximum(acc, 0.0)
    target = y + image * syn + (at_y * syh + at_x * syw)[:, None] + column[None, :]
    tl.store(target, acc.to(y.dtype.element_ty), mask=valid[:, None])
    if MOMENTS:
        acc = tl.where(valid[:, None], acc, 0.0)
        place = tile * outputs + column
        tl.store(sums + place, tl.sum(acc, 0))
        tl.store(squares + place, tl.sum(acc * acc, 0))


@verified(pointwise_case, check_pointwise)
def pointwise(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    tile: PointwiseTile,
    precision: str,
    in_scale: Optional[Tensor] = None,
    in_shift: Optional[Tensor] = None,
    scale: Optional[Tensor] = None,
    shift: Optional[Tensor] = None,
    add: Optional[Tensor] = None,
    relu: bool = False,
    sums: Optional[Tensor] = None,
    squares: Optional[Tensor] = None,
) -> None:
    """Compute ``relu(scale * (weight @ x) + shift + add)`` into ``out``.

    Args:
        x: (B, H, W, C) with contiguous channels and any other strides.
        weight: (out_channels, C) with any strides; it is rounded to the type of x.
        out: (B, H, W, out_channels) with contiguous channels and any other strides.
        tile: How the matrix product is cut; its sizes divide the channels.
        precision: Precision of products of float32 values.
        in_scale: (B, C); with it and in_shift, x is replaced by ``relu(in_scale * x + in_shift)``.
        in_shift: (C,).
        scale: (out_channels,).
        shift: (out_channels,).
        add: (B, H, W, out_channels) with contiguous channels; may be ``out``.
        relu: Apply a ReLU to the result.
        sums: (B, tiles, out_channels), float32: receives the sums of the outputs in each tile.
        squares: Receives the sums of their squares, likewise.
    """
    batch, height, width, outputs = out.shape
    inputs = x.shape[3]
    tiles = -(-height * width // tile.pixels)
    _pointwise_kernel[(batch * tiles * (outputs // tile.outputs),)](
        x, weight, out, in_scale, in_shift, scale, shift, add, sums, squares,
        height * width, width, tiles, inputs, outputs,
        *x.stride()[:3], *weight.stride(), *out.stride()[:3],
        *((0, 0, 0) if add is None else add.stride()[:3]),
        IN_AFFINE=in_scale is not None,
        AFFINE=scale is not None,
        ADD=add is not None,
        RELU=relu,
        MOMENTS=sums is not None,
        PRECISION=precision,
        UPCAST=x.dtype == torch.bfloat16 and triton.knobs.runtime.interpret,
        M=tile.pixels,
        N=tile.outputs,
        K=tile.depth,
        num_warps=tile.warps,
        num_stages=tile.stages,
    )  # fmt: skip
