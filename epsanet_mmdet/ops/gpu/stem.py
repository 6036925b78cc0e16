"""Triton kernel of the norm, ReLU and max pooling of a ResNet's stem."""

import triton
import triton.language as tl
from torch import Tensor

from .checks import check_pool, pool_case
from .verify import verified


@triton.jit(do_not_specialize=['pixels', 'height', 'width', 'out_width', 'tiles'])
def _pool_kernel(
    x, scale, shift, y,
    pixels, height, width, out_width, tiles, sxn, syn,
    CHANNELS: tl.constexpr, M: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    pixel = (program % tiles) * M + tl.arange(0, M)
    valid, channel = pixel < pixels, tl.arange(0, CHANNELS)
    at_y, at_x = pixel // out_width, pixel % out_width
    by, more = tl.load(scale + channel)[None, :], tl.load(shift + channel)[None, :]
    best = tl.zeros((M, CHANNELS), dtype=tl.float32)  # the least value of a ReLU
    for tap in tl.static_range(9):
        in_y, in_x = 2 * at_y - 1 + tap // 3, 2 * at_x - 1 + tap % 3
        inside = valid & (in_y >= 0) & (in_y < height) & (in_x >= 0) & (in_x < width)
        place = ((in_y * width + in_x) * CHANNELS)[:, None] + channel[None, :]
        value = tl.load(x + image * sxn + place, mask=inside[:, None], other=0.0).to(tl.float32)
        value = tl.where(inside[:, None], value * by + more, 0.0)
        best = tl.maximum(best, value, propagate_nan=tl.PropagateNan.ALL)
    target = y + image * syn + pixel[:, None] * CHANNELS + channel[None, :]
    tl.store(target, best.to(y.dtype.element_ty), mask=valid[:, None])


@verified(pool_case, check_pool)
def norm_relu_max_pool(x: Tensor, scale: Tensor, shift: Tensor, out: Tensor) -> None:
    """Compute the 3x3 max pooling of ``relu(scale * x + shift)`` with stride 2 and padding 1.

    Args:
        x: (B, H, W, C), contiguous; C is a power of 2.
        scale: (C,).
        shift: (C,).
        out: (B, ceil(H / 2), ceil(W / 2), C), contiguous.
    """
    batch, height, width, channels = x.shape
    pixels, block = out.shape[1] * out.shape[2], max(1, 2048 // channels)
    tiles = -(-pixels // block)
    _pool_kernel[(batch * tiles,)](
        x, scale, shift, out,
        pixels, height, width, out.shape[2], tiles, x.stride(0), out.stride(0),
        CHANNELS=channels,
        M=block,
        num_warps=4,
    )  # fmt: skip
