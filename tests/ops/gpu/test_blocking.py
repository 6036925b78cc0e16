"""Blocked matrices compute the convolution, for every kernel size, grouping and shape of blocks."""

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close

from epsanet_mmdet.ops.gpu.blocking import Blocking, pack, unpack
from epsanet_mmdet.ops.gpu.plan import BLOCKS

# Kernel size, groups, merged groups, split, stride, dilation.
CONVS = [
    (size, groups, merged, split, stride, dilation)
    for size in (1, 3, 5, 7, 9)
    for groups, merged, split in (
        (1, 1, 1),
        (1, 1, 2),
        (4, 1, 2),
        (4, 4, 1),
        (16, 2, 4),
        (64, 8, 1),
    )
    for stride, dilation in ((1, 1), (2, 1), (1, 2), (2, 2))
]


def case(conv, block):
    size, groups, merged, split, stride, dilation = conv
    inputs = outputs = max(groups, 4)
    weight = torch.randn(outputs, inputs // groups, size, size, dtype=torch.double)
    return weight, Blocking(groups, merged, split, *block, size, stride, dilation)


def windows(x, blocking, out):
    """The window of each block, cut by slices: (B, blocks, merged, values in order)."""
    cut = []
    for top in range(0, out[0], blocking.rows):
        for left in range(0, out[1], blocking.columns):
            y, first = top * blocking.stride, left * blocking.stride
            height, width = blocking.window
            window = x[:, :, y : y + height, first : first + width]
            window = window.unflatten(1, (blocking.merged, -1))
            cut.append(window.permute(0, 1, 3, 4, 2).flatten(2))
    return torch.stack(cut, 1)


@pytest.mark.parametrize('block', BLOCKS, ids=str)
@pytest.mark.parametrize('conv', CONVS, ids=str)
def test_windows_times_matrices_are_the_convolution(conv, block):
    weight, blocking = case(conv, block)
    blocks = (2, 3)
    out = tuple(count * side for count, side in zip(blocks, block))
    step = blocking.stride
    x = torch.randn(2, weight.shape[1] * blocking.groups, *(side * step for side in out)).double()
    reach = blocking.reach
    options = dict(stride=step, padding=reach, dilation=blocking.dilation, groups=blocking.groups)
    expected = F.conv2d(x, weight, **options)
    seen = windows(F.pad(x, [reach] * 4), blocking, out)
    matrices = pack(weight, blocking).unflatten(0, (blocking.merged, blocking.split))
    products = torch.einsum('bnmk,mpck->bnmpc', seen, matrices)
    products = products.unflatten(1, blocks).unflatten(-1, (*block, -1))  # b Y X m p R S o
    actual = products.permute(0, 3, 4, 7, 1, 5, 2, 6).flatten(1, 3).flatten(2, 3).flatten(3)
    assert_close(actual, expected, 1e-12)


@pytest.mark.parametrize('block', BLOCKS, ids=str)
@pytest.mark.parametrize('conv', CONVS, ids=str)
def test_unpacking_is_the_adjoint_of_packing(conv, block):
    """The scalar products with any gradient are equal, and autograd's gradient is the same."""
    weight, blocking = case(conv, block)
    packed = pack(weight.requires_grad_(), blocking, depth=32)
    grad = torch.randn_like(packed)
    unpacked = unpack(grad, blocking, weight.shape[1])
    assert_close((unpacked * weight).sum(), (grad * packed).sum(), 1e-12)
    assert_close(unpacked, *torch.autograd.grad(packed, weight, grad), 1e-12)


def test_rows_are_padded_with_zeros_to_a_multiple_of_the_depth():
    weight, blocking = case((3, 4, 1, 1, 1, 1), (2, 4))
    plain, padded = pack(weight, blocking), pack(weight, blocking, depth=64)
    assert padded.shape[-1] % 64 == 0
    assert padded[..., : plain.shape[-1]].equal(plain)
    assert not padded[..., plain.shape[-1] :].any()
