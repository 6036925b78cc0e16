"""Gradients of 1x1 convolutions, against autograd in double precision."""

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close

from epsanet_mmdet.ops.cpu import kernels
from epsanet_mmdet.ops.cpu.pointwise import pointwise, weight_gradient

pytestmark = pytest.mark.skipif(not kernels.instruction_sets(), reason='kernels not built')


@pytest.fixture(params=kernels.instruction_sets())
def instruction_set(request):
    with kernels.use_instruction_set(request.param):
        yield


@pytest.mark.parametrize('batch, size', [(1, (1, 1)), (3, (2, 3)), (2, (7, 7)), (2, (13, 40))])
@pytest.mark.parametrize('channels, outputs', [(1, 1), (5, 3), (33, 70), (300, 64)])
def test_they_are_autograd_s(instruction_set, channels, outputs, batch, size):
    x = torch.randn(batch, channels, *size).double().requires_grad_()
    weight = torch.randn(outputs, channels, 1, 1).double().requires_grad_()
    out = F.conv2d(x, weight)
    grad = torch.randn_like(out)
    expected = torch.autograd.grad(out, (x, weight), grad)
    actual = (
        pointwise(grad.float(), weight.detach().float(), transposed=True),
        weight_gradient(grad.float(), x.detach().float()),
    )
    assert all(gradient.is_contiguous() for gradient in actual)
    assert_close(actual, expected, tolerance=3e-6)
