"""Triton kernels that scale, shift and rectify channels-last maps, and their gradients.

Maps are (B, H, W, C) with contiguous channels. They are read and written once.
"""

from typing import List, Optional, Sequence, Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor

VALUES = 4096  # of a tile


@triton.jit
def _affine_kernel(
    x, scale, shift, add, add_scale, add_shift, out,
    pixels, width, tiles, channels, scale_image, son, soh, sow,
    ADD: tl.constexpr, ADD_AFFINE: tl.constexpr, RELU: tl.constexpr,
    M: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    program, parts = tl.program_id(0), channels // C
    tile, channel = program // parts, program % parts * C + tl.arange(0, C)
    image = (tile // tiles).to(tl.int64)
    pixel = (tile % tiles) * M + tl.arange(0, M)
    valid = (pixel < pixels)[:, None]
    place = image * pixels * channels + pixel[:, None] * channels + channel[None, :]
    by = tl.load(scale + image * scale_image + channel)
    value = tl.load(x + place, mask=valid, other=0.0).to(tl.float32)
    value = value * by[None, :] + tl.load(shift + channel)[None, :]
    if ADD:
        more = tl.load(add + place, mask=valid, other=0.0).to(tl.float32)
        if ADD_AFFINE:
            more *= tl.load(add_scale + channel)[None, :]
            more += tl.load(add_shift + channel)[None, :]
        value += more
    if RELU:
        value = tl.maximum(value, 0.0)
    target = out + image * son + (pixel // width * soh + pixel % width * sow)[:, None]
    tl.store(target + channel[None, :], value.to(out.dtype.element_ty), mask=valid)


def affine(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    out: Tensor,
    add: Optional[Tensor] = None,
    add_scale: Optional[Tensor] = None,
    add_shift: Optional[Tensor] = None,
    relu: bool = True,
) -> None:
    """Compute ``relu(scale * x + shift + add)`` into ``out``.

    Args:
        x: (B, H, W, C), contiguous.
        scale: (B, C), or (C,) for all images.
        shift: (C,).
        out: Of the shape of x; only its channels must be contiguous.
        add: Of the shape of x, contiguous.
        add_scale: (C,); with it and add_shift, ``add_scale * add + add_shift`` is added.
        add_shift: (C,).
        relu: Apply a ReLU.
    """
    batch, height, width, channels = x.shape
    m, c, tiles = _tiles(height * width, channels)
    _affine_kernel[(batch * tiles * (channels // c),)](
        x, scale, shift, add, add_scale, add_shift, out,
        height * width, width, tiles, channels, _image_stride(scale), *out.stride()[:3],
        ADD=add is not None,
        ADD_AFFINE=add_scale is not None,
        RELU=relu,
        M=m,
        C=c,
        num_warps=4,
    )  # fmt: skip


@triton.jit
def _rectified(
    grad, x, out, scale, shift, place, valid, channel, image, scale_image,
    BY_OUT: tl.constexpr, RELU: tl.constexpr,
):  # fmt: skip
    """Return the gradient behind the ReLU, and the value of x."""
    g = tl.load(grad + place, mask=valid, other=0.0).to(tl.float32)
    value = tl.load(x + place, mask=valid, other=0.0).to(tl.float32)
    if RELU:
        if BY_OUT:
            active = tl.load(out + place, mask=valid, other=0.0) > 0
        else:
            by = tl.load(scale + image * scale_image + channel)
            active = value * by[None, :] + tl.load(shift + channel)[None, :] > 0
        g = tl.where(active, g, 0.0)
    return g, value


@triton.jit
def _sums_kernel(
    grad, x, out, scale, shift, centre, x2, centre2, sums, products, products2,
    pixels, tiles, channels, scale_image,
    BY_OUT: tl.constexpr, RELU: tl.constexpr, CENTRED: tl.constexpr, SECOND: tl.constexpr,
    REPEATS: tl.constexpr, M: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    program, parts = tl.program_id(0), channels // C
    tile, channel = program // parts, program % parts * C + tl.arange(0, C)
    image = (tile // tiles).to(tl.int64)
    zero = tl.zeros((C,), dtype=tl.float32)
    total, product, product2 = zero, zero, zero
    for repeat in range(REPEATS):
        pixel = ((tile % tiles) * REPEATS + repeat) * M + tl.arange(0, M)
        valid = (pixel < pixels)[:, None]
        place = image * pixels * channels + pixel[:, None] * channels + channel[None, :]
        g, value = _rectified(
            grad, x, out, scale, shift, place, valid, channel, image, scale_image, BY_OUT, RELU
        )
        if CENTRED:
            value -= tl.load(centre + channel)[None, :]
        total += tl.sum(g, 0)
        product += tl.sum(g * value, 0)
        if SECOND:
            value2 = tl.load(x2 + place, mask=valid, other=0.0).to(tl.float32)
            product2 += tl.sum(g * (value2 - tl.load(centre2 + channel)[None, :]), 0)
    row = tile * channels + channel
    tl.store(sums + row, total)
    tl.store(products + row, product)
    if SECOND:
        tl.store(products2 + row, product2)


def gradient_sums(
    grad: Tensor,
    x: Tensor,
    out: Optional[Tensor] = None,
    scale: Optional[Tensor] = None,
    shift: Optional[Tensor] = None,
    centre: Optional[Tensor] = None,
    x2: Optional[Tensor] = None,
    centre2: Optional[Tensor] = None,
) -> List[Tensor]:
    """Return the sums of ``g`` and ``g * (x - centre)`` and, with x2, of ``g * (x2 - centre2)``.

    The gradient ``g`` has passed the ReLU whose result is ``out``, or ``scale * x + shift`` before.

    Args:
        grad: (B, H, W, C), contiguous, as are the other maps.
        x: The map before the norm.
        out: Result of the ReLU; None if it follows from scale and shift.
        scale: (B, C) or (C,).
        shift: (C,).
        centre: (C,); 0 if None.
        x2: Another map that was added.
        centre2: (C,).

    Returns:
        (B, tiles, C) each, float32.
    """
    batch, height, width, channels = grad.shape
    m, c, tiles = _tiles(height * width, channels)
    repeats = max(1, min(16, batch * tiles * (channels // c) // 1024))
    tiles = -(-tiles // repeats)
    results = [grad.new_empty(batch, tiles, channels, dtype=torch.float32) for _ in range(2)]
    if x2 is not None:
        results.append(torch.empty_like(results[0]))
    _sums_kernel[(batch * tiles * (channels // c),)](
        grad, x, out, scale, shift, centre, x2, centre2, *results, *[None] * (3 - len(results)),
        height * width, tiles, channels, _image_stride(scale),
        BY_OUT=out is not None,
        RELU=out is not None or scale is not None,
        CENTRED=centre is not None,
        SECOND=x2 is not None,
        REPEATS=repeats,
        M=m,
        C=c,
        num_warps=4,
    )  # fmt: skip
    return results


@triton.jit
def _gradient_kernel(
    grad, x, out, scale, shift, centre, alpha, beta, delta, of_x, of_add,
    x2, centre2, alpha2, beta2, delta2, of_x2,
    pixels, width, tiles, channels, scale_image, slope_image, son, soh, sow,
    BY_OUT: tl.constexpr, RELU: tl.constexpr, CENTRED: tl.constexpr, ADD: tl.constexpr,
    SECOND: tl.constexpr, M: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    program, parts = tl.program_id(0), channels // C
    tile, channel = program // parts, program % parts * C + tl.arange(0, C)
    image = (tile // tiles).to(tl.int64)
    pixel = (tile % tiles) * M + tl.arange(0, M)
    valid = (pixel < pixels)[:, None]
    place = image * pixels * channels + pixel[:, None] * channels + channel[None, :]
    g, value = _rectified(
        grad, x, out, scale, shift, place, valid, channel, image, scale_image, BY_OUT, RELU
    )
    if CENTRED:
        value -= tl.load(centre + channel)[None, :]
    at = image * slope_image + channel
    result = g * tl.load(alpha + at)[None, :] + value * tl.load(beta + at)[None, :]
    result += tl.load(delta + at)[None, :]
    target = of_x + image * son + (pixel // width * soh + pixel % width * sow)[:, None]
    tl.store(target + channel[None, :], result.to(of_x.dtype.element_ty), mask=valid)
    if ADD:
        tl.store(of_add + place, g.to(of_add.dtype.element_ty), mask=valid)
    if SECOND:
        value = tl.load(x2 + place, mask=valid, other=0.0).to(tl.float32)
        value -= tl.load(centre2 + channel)[None, :]
        result = g * tl.load(alpha2 + channel)[None, :] + value * tl.load(beta2 + channel)[None, :]
        result += tl.load(delta2 + channel)[None, :]
        tl.store(of_x2 + place, result.to(of_x2.dtype.element_ty), mask=valid)


def affine_gradient(
    grad: Tensor,
    x: Tensor,
    slopes: Sequence[Tensor],
    of_x: Tensor,
    out: Optional[Tensor] = None,
    scale: Optional[Tensor] = None,
    shift: Optional[Tensor] = None,
    centre: Optional[Tensor] = None,
    of_add: Optional[Tensor] = None,
    x2: Optional[Tensor] = None,
    centre2: Optional[Tensor] = None,
    slopes2: Sequence[Optional[Tensor]] = (None, None, None),
    of_x2: Optional[Tensor] = None,
) -> None:
    """Compute ``alpha * g + beta * (x - centre) + delta`` into ``of_x``, and ``g`` into ``of_add``.

    Args:
        grad: See :func:`gradient_sums`.
        x: See :func:`gradient_sums`.
        slopes: alpha, beta and delta, (C,) or (B, C) each.
        of_x: Of the shape of x; only its channels must be contiguous.
        out: See :func:`gradient_sums`.
        scale: See :func:`gradient_sums`.
        shift: See :func:`gradient_sums`.
        centre: See :func:`gradient_sums`.
        of_add: Receives ``g``, contiguous.
        x2: See :func:`gradient_sums`.
        centre2: See :func:`gradient_sums`.
        slopes2: alpha, beta and delta for x2.
        of_x2: Receives the gradient of x2, contiguous.
    """
    batch, height, width, channels = grad.shape
    m, c, tiles = _tiles(height * width, channels)
    _gradient_kernel[(batch * tiles * (channels // c),)](
        grad, x, out, scale, shift, centre, *slopes, of_x, of_add,
        x2, centre2, *slopes2, of_x2,
        height * width, width, tiles, channels, _image_stride(scale), _image_stride(slopes[0]),
        *of_x.stride()[:3],
        BY_OUT=out is not None,
        RELU=out is not None or scale is not None,
        CENTRED=centre is not None,
        ADD=of_add is not None,
        SECOND=x2 is not None,
        M=m,
        C=c,
        num_warps=4,
    )  # fmt: skip


def _tiles(pixels: int, channels: int) -> Tuple[int, int, int]:
    """Return the pixels and channels of a tile, and the tiles of an image."""
    c = min(channels & -channels, 128)
    m = max(1, min(VALUES // c, triton.next_power_of_2(pixels)))
    return m, c, -(-pixels // m)


def _image_stride(t: Optional[Tensor]) -> int:
    return 0 if t is None or t.dim() == 1 else t.stride(0)
