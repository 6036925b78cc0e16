"""Values of the GPU kernels' tests: their types, their precisions and the bounds of errors."""

import torch
from closeness import assert_close

from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF, TF32

# Type, precision, and the greatest error with outputs in float32.
TYPES = {
    'fp32': (torch.float32, FLOAT32, 1e-5),
    'tf32': (torch.float32, TF32, 2e-3),
    'bf16': (torch.bfloat16, HALF, 3e-3),
    'fp16': (torch.float16, HALF, 1e-3),
}


def unwritten(*size, dtype=torch.float32):
    """An output; what is not written stays NaN."""
    return torch.full(size, float('nan'), dtype=dtype)


def within(x, top, left, bottom, right):
    """The same map (B, H, W, C) as a part of a larger one, which is NaN outside."""
    batch, height, width, channels = x.shape
    sides = top + height + bottom, left + width + right
    larger = unwritten(batch, *sides, channels, dtype=x.dtype)
    larger[:, top : top + height, left : left + width] = x
    return larger[:, top : top + height, left : left + width]


def nchw(x):
    """A map (B, H, W, C) in torch's order, in double precision."""
    return x.permute(0, 3, 1, 2).double()


def assert_sums(sums, expected, tolerance):
    """Compare sums over tiles with a map's, relative to the sum of absolute values."""
    scale = expected.abs().sum((2, 3)).max()
    assert_close(sums.double().sum(1) / scale, expected.sum((2, 3)) / scale, tolerance, floor=1)
