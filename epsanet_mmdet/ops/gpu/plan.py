"""How the convolutions of a block are cut, for each size and precision.

The defaults follow rules that were fitted to measurements, see docs/internals/speed.md: a product
needs about as many programs as the GPU has multiprocessors, and tiles as large as that allows.
"""

import functools
from math import ceil
from typing import NamedTuple, Sequence, Tuple

from .blocking import Blocking
from .tiles import ConvTile, PointwiseTile

# Values of 16 bits; float32 rounded to TensorFloat-32; float32 as sums of three such products.
HALF, TF32, FLOAT32 = 'ieee', 'tf32', 'tf32x3'
# float32 as sums of three products of bfloat16, which unlike TF32's factors may be transposed.
SPLIT = 'bf16x3'
SHARED_MEMORY = 99 * 1024  # bytes that a program can use on every GPU since capability 8.0

BLOCKS = ((4, 4), (2, 4), (2, 2), (1, 2), (1, 1))


class ConvShape(NamedTuple):
    """A grouped convolution that keeps the size of the map, or halves it.

    Attributes:
        inputs: Input channels.
        outputs: Output channels.
        size: Size of the kernel.
        groups: Groups.
        stride: Stride.
        dilation: Dilation.
    """

    inputs: int
    outputs: int
    size: int
    groups: int
    stride: int
    dilation: int


class ConvPlan(NamedTuple):
    """How a convolution is computed."""

    blocking: Blocking
    tile: ConvTile


@functools.cache
def conv_plan(
    shape: ConvShape, pixels: int, precision: str, multiprocessors: int, wgmma: bool = True
) -> ConvPlan:
    """Return how to compute a convolution.

    Args:
        shape: The convolution.
        pixels: Pixels of the output, of all images.
        precision: :data:`HALF`, :data:`TF32` or :data:`FLOAT32`.
        multiprocessors: Multiprocessors of the GPU.
        wgmma: Whether the GPU multiplies by four warps together, as capabilities 9.0 and 10.x do.
    """
    wide = 32 if precision == HALF else 16
    merged = shape.groups
    while merged % 2 == 0 and shape.inputs // merged < wide:
        merged //= 2
    outputs, split = shape.outputs // merged, 1
    for columns, rows in ((128, 128), (64, 128), (64, 64), (32, 64), (16, 64)):
        while outputs // split > columns:
            split *= 2
        if pixels * shape.outputs >= 0.9 * multiprocessors * rows * columns:
            break
    most = max(1, pixels // (6 * multiprocessors))  # large blocks of few pixels idle at the end
    if precision == FLOAT32 and columns == 128:  # registers: three products at a time
        rows = 64
    area = max(16 * split // outputs, 1, min(columns * split // outputs, most))
    blocking = Blocking(
        shape.groups, merged, split, *block_sides(area), shape.size, shape.stride, shape.dilation
    )
    values = rows * blocking.pixels * shape.outputs // blocking.products
    depth, large = (64, 8192) if precision == HALF else (32, 4096 if precision == TF32 else 8192)
    warps = 8 if values > large else 4
    if not wgmma:
        rows, warps = _without_spills(rows, values // rows, warps, precision)
    return ConvPlan(blocking, ConvTile(rows, depth, warps, 3))


def weight_gradient_tile(precision: str) -> Tuple[ConvTile, str]:
    """Return how to cut the gradients of weights, and the precision of their products.

    Args:
        precision: See :func:`conv_plan`.
    """
    rows = 64 if precision == HALF else 32
    return ConvTile(rows, 128, 8, 3), SPLIT if precision == TF32 else precision


def block_sides(area: int) -> Tuple[int, int]:
    """Return rows and columns of the largest block of at most so many pixels."""
    return next(sides for sides in BLOCKS if sides[0] * sides[1] <= area)


@functools.cache
def pointwise_tile(
    pixels: int,
    inputs: int,
    outputs: int,
    precision: str,
    multiprocessors: int,
    wgmma: bool = True,
) -> PointwiseTile:
    """Return how to cut a 1x1 convolution.

    Args:
        pixels: Pixels of an image's output times images.
        inputs: Input channels.
        outputs: Output channels.
        precision: See :func:`conv_plan`.
        multiprocessors: Multiprocessors of the GPU.
        wgmma: See :func:`conv_plan`.
    """
    deepest = 64 if precision == HALF else 32
    depth = next(d for d in (deepest, 32, 16) if inputs % d == 0)
    for rows, columns in ((128, 128), (64, 128), (64, 64), (32, 64), (32, 32), (16, 16)):
        if outputs % columns == 0 and pixels * outputs >= 0.7 * multiprocessors * rows * columns:
            break
    else:
        rows, columns = 16, 16
    warps = 8 if precision != HALF and rows * columns > 8192 else 4
    if not wgmma:
        rows, warps = _without_spills(rows, columns, warps, precision)
    return PointwiseTile(rows, columns, depth, warps, 3)


def _without_spills(rows: int, columns: int, warps: int, precision: str) -> Tuple[int, int]:
    """Return rows and warps for which registers are enough (tests/compile_gpu_kernels.py)."""
    sums = 32 * (32 if precision == FLOAT32 else 64)  # of a warp
    warps = min(8, max(warps, rows * columns // sums))
    while rows * columns > sums * warps:
        rows //= 2
    return rows, warps


def padded_sides(
    height: int, width: int, plans: Sequence[ConvPlan], channels: int
) -> Tuple[int, int, int]:
    """Return the margin around a map and the sides of the padded map that plans need.

    Args:
        height: Height of the map.
        width: Width of the map.
        plans: Plans of the convolutions of the map.
        channels: Channels of the map.
    """
    margin = max(plan.blocking.reach for plan in plans)
    sides = [0, 0]
    for blocking, tile in plans:
        window, inputs = blocking.window, channels // blocking.merged
        taps = ceil(window[0] * window[1] * inputs / tile.depth) * tile.depth // inputs
        read = (max(window[0], ceil(taps / window[1])), window[1])
        for i, (side, block) in enumerate(((height, blocking.rows), (width, blocking.columns))):
            blocks = ceil(ceil(side / blocking.stride) / block)
            last = margin - blocking.reach + (blocks - 1) * block * blocking.stride
            sides[i] = max(sides[i], last + read[i], margin + side)
    return margin, *sides
