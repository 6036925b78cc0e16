"""Kernels pack weights as the formula does, and unpacking is the adjoint."""

import pytest
import torch
from closeness import assert_close

from epsanet_mmdet.ops.gpu.plan import FLOAT32, ConvShape, conv_plan

pytestmark = pytest.mark.interpreted
# Output and input channels, kernel, groups, stride and dilation of two branches each.
CASES = {
    'narrow groups': [(8, 32, 3, 1, 1, 1), (8, 32, 5, 8, 1, 1)],
    'strides and dilation': [(16, 32, 3, 4, 2, 1), (16, 32, 3, 4, 2, 2)],
    'split outputs': [(256, 16, 1, 1, 1, 1), (256, 16, 3, 2, 1, 1)],
}


def branches(case, transposed):
    from epsanet_mmdet.ops.gpu.packing import packing

    weights, plans = [], []
    for outputs, inputs, size, groups, stride, dilation in CASES[case]:
        weights.append(torch.randn(outputs, inputs // groups, size, size))
        sides = (outputs, inputs) if transposed else (inputs, outputs)
        shape = ConvShape(*sides, size, groups, 1 if transposed else stride, dilation)
        plans.append(conv_plan(shape, 3000, FLOAT32, 8))
    shapes = tuple(weight.shape for weight in weights)
    return weights, plans, packing(shapes, tuple(plans), transposed, torch.device('cpu'))


@pytest.mark.parametrize('transposed', [False, True], ids=['own', 'transposed'])
@pytest.mark.parametrize('case', CASES)
def test_packing(case, transposed):
    from epsanet_mmdet.ops.gpu.blocking import pack
    from epsanet_mmdet.ops.gpu.packing import transpose

    weights, plans, packed = branches(case, transposed)
    flat = torch.cat([weight.flatten() for weight in weights])
    for ours, weight, (blocking, tile) in zip(packed.pack(flat, torch.float32), weights, plans):
        weight = transpose(weight, blocking.groups) if transposed else weight
        assert ours.equal(pack(weight, blocking, tile.depth))


@pytest.mark.parametrize('case', CASES)
def test_unpacking_is_the_adjoint(case):
    weights, _, packed = branches(case, False)
    grad = torch.randn(len(packed.index))
    flat = torch.cat([weight.flatten() for weight in weights])
    image = torch.cat([w.flatten() for w in packed.pack(flat, torch.float32)]).double()
    expected = image @ grad.double()
    assert_close(flat.double() @ packed.unpack(grad).double(), expected, 1e-4)
