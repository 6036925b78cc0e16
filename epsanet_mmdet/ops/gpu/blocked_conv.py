"""Triton kernels of a blocked convolution, see :mod:`.blocking`, on channels-last maps.

Sizes of maps are not specialised: else Triton compiles anew for most sizes of images, and the check
before the first use (:mod:`.verify`) would not run what is used.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .blocking import Blocking
from .checks import check_conv, check_weight_gradient, conv_case, weight_gradient_case
from .plan import SPLIT
from .tiles import ConvTile
from .verify import verified


@triton.jit
def _dot(a, b, acc, PRECISION: tl.constexpr, UPCAST: tl.constexpr):
    if UPCAST:  # Triton's interpreter has no products of bfloat16
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, acc, input_precision=PRECISION)


@triton.jit
def _split_dot(a, b, acc, UPCAST: tl.constexpr):
    a_high, b_high = a.to(tl.bfloat16), b.to(tl.bfloat16)
    a_low = (a - a_high.to(tl.float32)).to(tl.bfloat16)
    b_low = (b - b_high.to(tl.float32)).to(tl.bfloat16)
    acc = _dot(a_low, b_high, acc, 'ieee', UPCAST)
    acc = _dot(a_high, b_low, acc, 'ieee', UPCAST)
    return _dot(a_high, b_high, acc, 'ieee', UPCAST)


@triton.jit(do_not_specialize=['blocks', 'blocks_x', 'tiles', 'height', 'width'])
def _conv_kernel(
    x, w, y, sums, squares,
    blocks, blocks_x, tiles, height, width, sxn, sxh, sxw, syn, syh, syw, sums_image, sums_row,
    PRODUCTS: tl.constexpr, SPLIT: tl.constexpr, INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STRIDE: tl.constexpr,
    WINDOW_X: tl.constexpr, DEPTH: tl.constexpr, ACCUMULATE: tl.constexpr, MOMENTS: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr, M: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    N: tl.constexpr = ROWS * COLUMNS * OUTPUTS
    program = tl.program_id(0)
    product, tile = program % PRODUCTS, program // PRODUCTS
    image = (tile // tiles).to(tl.int64)
    block = (tile % tiles) * M + tl.arange(0, M)
    valid = block < blocks
    block = tl.where(valid, block, 0)
    block_y, block_x = block // blocks_x, block % blocks_x
    start = block_y * (ROWS * STRIDE) * sxh + block_x * (COLUMNS * STRIDE) * sxw
    column = tl.arange(0, N)
    x += image * sxn + (product // SPLIT) * INPUTS
    w += product * (N * DEPTH)
    acc = tl.zeros((M, N), dtype=tl.float32)
    for first in range(0, DEPTH, K):
        k = first + tl.arange(0, K)
        tap = k // INPUTS
        value = (tap // WINDOW_X) * sxh + (tap % WINDOW_X) * sxw + k % INPUTS
        a = tl.load(x + (start[:, None] + value[None, :]))
        b = tl.load(w + column[:, None] * DEPTH + k[None, :])
        acc = _dot(a, tl.trans(b), acc, PRECISION, UPCAST)
    output, pixel = column % OUTPUTS, column // OUTPUTS
    at_y = block_y[:, None] * ROWS + (pixel // COLUMNS)[None, :]
    at_x = block_x[:, None] * COLUMNS + (pixel % COLUMNS)[None, :]
    inside = valid[:, None] & (at_y < height) & (at_x < width)
    target = y + image * syn + at_y * syh + at_x * syw + (product * OUTPUTS + output)[None, :]
    if ACCUMULATE:
        acc += tl.load(target, mask=inside, other=0.0).to(tl.float32)
    tl.store(target, acc.to(y.dtype.element_ty), mask=inside)
    if MOMENTS:
        acc = tl.where(inside, acc, 0.0)
        place = (
            image * sums_image
            + (tile % tiles) * sums_row
            + product * OUTPUTS
            + tl.arange(0, OUTPUTS)
        )
        of_columns = tl.reshape(tl.sum(acc, 0), (ROWS * COLUMNS, OUTPUTS))
        tl.store(sums + place, tl.sum(of_columns, 0))
        if MOMENTS > 1:
            of_columns = tl.reshape(tl.sum(acc * acc, 0), (ROWS * COLUMNS, OUTPUTS))
            tl.store(squares + place, tl.sum(of_columns, 0))


@verified(conv_case, check_conv)
def blocked_conv(
    x: Tensor,
    packed: Tensor,
    out: Tensor,
    blocking: Blocking,
    tile: ConvTile,
    precision: str,
    sums: Tensor = None,
    squares: Tensor = None,
    accumulate: bool = False,
) -> None:
    """Convolve a padded map into ``out``.

    Args:
        x: (B, H', W', C) with contiguous channels, possibly some of a larger map's. The first
            window starts at its first pixel, and its size is that of :func:`~.plan.padded_sides`.
        packed: Weight of :func:`~.blocking.pack`, with rows padded to a multiple of ``tile.depth``.
        out: (B, H, W, out_channels) with contiguous channels; float32 or the type of x.
        blocking: How the convolution is blocked.
        tile: How the matrix product is cut.
        precision: Precision of products of float32 values.
        sums: (B, tiles, out_channels), float32: receives the sums of the outputs in each tile.
        squares: Receives the sums of their squares, likewise.
        accumulate: Add to ``out``.
    """
    batch, height, width, channels = out.shape
    blocks_y, blocks_x = -(-height // blocking.rows), -(-width // blocking.columns)
    tiles = tile_count(height, width, blocking, tile)
    _conv_kernel[(batch * tiles * blocking.products,)](
        x, packed, out, sums, squares,
        blocks_y * blocks_x, blocks_x, tiles, height, width,
        *x.stride()[:3], *out.stride()[:3], *((0, 0) if sums is None else sums.stride()[:2]),
        ACCUMULATE=accumulate,
        MOMENTS=(sums is not None) + (squares is not None),
        **_constants(x, channels, packed.shape[2], blocking, tile, precision),
    )  # fmt: skip


def _constants(
    x: Tensor, outputs: int, depth: int, blocking: Blocking, tile: ConvTile, precision: str
) -> dict:
    """Return what a kernel is compiled for."""
    return dict(
        PRODUCTS=blocking.products,
        SPLIT=blocking.split,
        INPUTS=x.shape[3] // blocking.merged,
        OUTPUTS=outputs // blocking.products,
        ROWS=blocking.rows,
        COLUMNS=blocking.columns,
        STRIDE=blocking.stride,
        WINDOW_X=blocking.window[1],
        DEPTH=depth,
        PRECISION=precision,
        UPCAST=triton.knobs.runtime.interpret and (x.dtype == torch.bfloat16 or precision == SPLIT),
        M=tile.blocks,
        K=tile.depth,
        num_warps=tile.warps,
        num_stages=tile.stages,
    )


def tile_count(height: int, width: int, blocking: Blocking, tile: ConvTile) -> int:
    """Return the number of tiles of an image."""
    blocks = -(-height // blocking.rows) * -(-width // blocking.columns)
    return -(-blocks // tile.blocks)


@triton.jit(
    do_not_specialize=['blocks', 'blocks_x', 'tiles', 'all_tiles', 'per', 'height', 'width']
)
def _weight_gradient_kernel(
    x, g, out,
    blocks, blocks_x, tiles, all_tiles, per, height, width, sxn, sxh, sxw, sgn, sgh, sgw, so,
    PRODUCTS: tl.constexpr, SPLIT: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STRIDE: tl.constexpr, WINDOW_X: tl.constexpr,
    DEPTH: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    M: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    N: tl.constexpr = ROWS * COLUMNS * OUTPUTS
    CHUNKS: tl.constexpr = (DEPTH + K - 1) // K
    program = tl.program_id(0)
    product, part = program // CHUNKS % PRODUCTS, program // (CHUNKS * PRODUCTS)
    k, column = program % CHUNKS * K + tl.arange(0, K), tl.arange(0, N)
    tap = k // INPUTS
    value = (tap // WINDOW_X) * sxh + (tap % WINDOW_X) * sxw + k % INPUTS
    output, pixel = column % OUTPUTS, column // OUTPUTS
    inside_window = k < DEPTH
    x += (product // SPLIT) * INPUTS
    g += product * OUTPUTS
    acc = tl.zeros((K, N), dtype=tl.float32)
    for tile in range(part * per, tl.minimum((part + 1) * per, all_tiles)):
        image = (tile // tiles).to(tl.int64)
        block = (tile % tiles) * M + tl.arange(0, M)
        valid = block < blocks
        block = tl.where(valid, block, 0)
        block_y, block_x = block // blocks_x, block % blocks_x
        start = block_y * (ROWS * STRIDE) * sxh + block_x * (COLUMNS * STRIDE) * sxw
        place = x + (image * sxn + start[:, None] + value[None, :])
        if DEPTH % K:
            a = tl.load(place, mask=inside_window[None, :], other=0.0)
        else:
            a = tl.load(place)
        at_y = block_y[:, None] * ROWS + (pixel // COLUMNS)[None, :]
        at_x = block_x[:, None] * COLUMNS + (pixel % COLUMNS)[None, :]
        inside = valid[:, None] & (at_y < height) & (at_x < width)
        source = g + image * sgn + at_y * sgh + at_x * sgw + output[None, :]
        b = tl.load(source, mask=inside, other=0.0)
        if PRECISION == 'bf16x3':
            acc = _split_dot(tl.trans(a), b, acc, UPCAST)
        else:
            acc = _dot(tl.trans(a), b, acc, PRECISION, UPCAST)
    target = out + part.to(tl.int64) * so + (product * N + column)[None, :] * DEPTH + k[:, None]
    tl.store(target, acc, mask=inside_window[:, None])


@verified(weight_gradient_case, check_weight_gradient)
def weight_gradient(
    x: Tensor, grad: Tensor, out: Tensor, blocking: Blocking, tile: ConvTile, precision: str
) -> None:
    """Compute the gradient of a packed weight in parts, which remain to be added.

    Args:
        x: The padded map, see :func:`blocked_conv`.
        grad: Gradient of the output, (B, H, W, out_channels) with contiguous channels.
        out: (parts, products, columns, depth), float32, with contiguous parts.
        blocking: How the convolution is blocked.
        tile: How the matrix product is cut; its depth is the number of values of the window whose
            gradients a program computes.
        precision: Precision of products of float32 values.
    """
    batch, height, width, channels = grad.shape
    blocks_y, blocks_x = -(-height // blocking.rows), -(-width // blocking.columns)
    tiles = tile_count(height, width, blocking, tile)
    parts, depth = len(out), out.shape[-1]
    _weight_gradient_kernel[(parts * blocking.products * -(-depth // tile.depth),)](
        x, grad, out,
        blocks_y * blocks_x, blocks_x, tiles, batch * tiles, -(-batch * tiles // parts),
        height, width, *x.stride()[:3], *grad.stride()[:3], out.stride(0),
        **_constants(x, channels, depth, blocking, tile, precision),
    )  # fmt: skip
