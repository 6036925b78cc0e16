"""Maps that are scaled and shifted channel by channel, against the formulas in double precision."""

from functools import partial

import pytest
import torch
from closeness import assert_close

from epsanet_mmdet.ops.cpu import kernels
from epsanet_mmdet.ops.cpu.affine import AffineGradient, affine, moments

SETS = kernels.instruction_sets()
pytestmark = pytest.mark.skipif(not SETS, reason='the kernels were not built')
close = partial(assert_close, tolerance=3e-6, floor=1)
SIZES = [(1, 1), (3, 5), (7, 7), (4, 8), (13, 70)]


@pytest.fixture(params=SETS)
def instruction_set(request):
    with kernels.use_instruction_set(request.param):
        yield


def channels(*values):
    return tuple(v.double()[..., None, None] for v in values)


@pytest.mark.parametrize('size', SIZES)
def test_moments_of_each_channel(instruction_set, size):
    x = torch.randn(2, 5, *size) + 30  # the mean must not drown the variance
    mean, variance = moments(x)
    close(mean, x.double().mean((2, 3)))
    close(variance, x.double().var((2, 3), correction=0), tolerance=1e-5)


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('with_add', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_affine_map(instruction_set, size, with_add, relu):
    x, scale, shift = torch.randn(2, 5, *size), torch.randn(2, 5), torch.randn(2, 5)
    add = torch.randn_like(x) if with_add else None
    s, t = channels(scale, shift)
    expected = x * s + t + (add if with_add else 0)
    close(affine(x, scale, shift, add, relu), expected.relu() if relu else expected)


@pytest.mark.parametrize('mask', ['none', 'of the input', 'of the output'])
@pytest.mark.parametrize('size', SIZES)
def test_gradients(instruction_set, size, mask):
    x, add, grad = (torch.randn(2, 5, *size) for _ in range(3))
    scale, shift, centre, slope, constant = (torch.randn(2, 5) for _ in range(5))
    relu, added = mask != 'none', mask == 'of the output'
    out = affine(x, scale, shift, add if added else None, relu)
    passes = AffineGradient(x, scale, shift, centre, out if added else None, relu, grad)

    passed = grad.double() * (out > 0) if relu else grad.double()
    s, c, k, b = channels(scale, centre, slope, constant)
    sums, products = passes.sums()
    close(sums, passed.sum((2, 3)))
    close(products, (passed * (x - c)).sum((2, 3)))
    grad_x, grad_add = passes.gradients(slope, constant, with_add=True)
    close(grad_x, s * passed + k * (x - c) + b)
    close(grad_add, passed)
    assert passes.gradients(slope, constant, with_add=False)[1] is None


def test_nan_is_neither_rectified_away_nor_spread(instruction_set):
    x, one, zero = torch.ones(1, 2, 5, 9), torch.ones(1, 2), torch.zeros(1, 2)
    x[0, 0, 1, 1] = float('nan')
    out = affine(x, one, zero)
    assert out.isnan().sum() == 1 and out[0, 0, 1, 1].isnan()
