"""The blocked convolution is torch's, for all sizes, types, plans and layouts."""

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close
from gpu_cases import TYPES, assert_sums, nchw, unwritten

from epsanet_mmdet.ops.gpu.blocking import Blocking, pack
from epsanet_mmdet.ops.gpu.plan import ConvPlan, ConvShape, conv_plan, padded_sides
from epsanet_mmdet.ops.gpu.tiles import ConvTile

pytestmark = pytest.mark.interpreted


def compare(shape, size, plan, kind, batch=2, accumulate=False, moments=0):
    """Compute a convolution into a part of a larger map, and compare it with double precision."""
    from epsanet_mmdet.ops.gpu.blocked_conv import blocked_conv, tile_count

    dtype, precision, tolerance = TYPES[kind]
    blocking, tile = plan
    x = torch.randn(batch, *size, shape.inputs).to(dtype)
    weight = torch.randn(shape.outputs, shape.inputs // shape.groups, shape.size, shape.size)
    weight = (weight / weight[0].numel() ** 0.5).to(dtype)
    expected = F.conv2d(
        nchw(x),
        weight.double(),
        stride=shape.stride,
        padding=blocking.reach,
        dilation=shape.dilation,
        groups=shape.groups,
    )
    margin, *sides = padded_sides(*size, [plan], shape.inputs)
    assert margin == blocking.reach
    padded = torch.zeros(batch, *sides, shape.inputs, dtype=dtype)
    padded[:, margin : margin + size[0], margin : margin + size[1]] = x
    out = unwritten(batch, *expected.shape[2:], 2 * shape.outputs)
    own = out[..., shape.outputs :]
    if accumulate:
        before = own.copy_(torch.randn(own.shape)).clone()
        expected = expected + nchw(before)
    tiles = tile_count(*expected.shape[2:], *plan)
    sums = [unwritten(batch, tiles, shape.outputs) for _ in range(moments)]
    packed = pack(weight, blocking, tile.depth).contiguous()
    blocked_conv(padded, packed, own, *plan, precision, *sums, accumulate=accumulate)
    assert_close(nchw(own), expected, tolerance)
    assert out[..., : shape.outputs].isnan().all()
    for found, values in zip(sums, (expected, expected.square())):
        assert_sums(found, values, tolerance)


@pytest.mark.parametrize('kind', ['fp32', 'bf16'])
@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize('size, groups', [(3, 1), (5, 4), (7, 8), (9, 16)])
def test_the_rules_plans_compute_the_convolution(size, groups, stride, dilation, kind):
    shape = ConvShape(32, 16, size, groups, stride, dilation)
    plan = conv_plan(shape, 2 * 13 * 9, TYPES[kind][1], 4)
    compare(shape, (13, 9), plan, kind, moments=1)


@pytest.mark.parametrize('sides', [(1, 1), (1, 5), (7, 1), (8, 8), (9, 7), (13, 18)], ids=str)
@pytest.mark.parametrize('block', [(4, 4), (2, 4), (1, 2), (1, 1)], ids=str)
def test_maps_of_any_size_are_cut_into_blocks(block, sides):
    shape = ConvShape(16, 16, 5, 4, 1, 1)
    plan = ConvPlan(Blocking(4, 1, 1, *block, 5), ConvTile(16, 32))
    compare(shape, sides, plan, 'fp32')


@pytest.mark.parametrize('merged, split', [(1, 1), (1, 4), (4, 1), (2, 2)])
@pytest.mark.parametrize('depth', [16, 64])
def test_groups_are_merged_and_outputs_split(merged, split, depth):
    shape = ConvShape(32, 64, 3, 4, 1, 1)
    plan = ConvPlan(Blocking(4, merged, split, 2, 2, 3), ConvTile(32, depth))
    compare(shape, (9, 7), plan, 'fp32', moments=2)


@pytest.mark.parametrize('kind', TYPES)
@pytest.mark.parametrize('accumulate', [False, True])
@pytest.mark.parametrize('moments', [0, 1, 2])
def test_it_adds_to_the_output_and_sums_it(moments, accumulate, kind):
    shape = ConvShape(16, 16, 3, 1, 1, 1)
    plan = ConvPlan(Blocking(1, 1, 1, 1, 2, 3), ConvTile(16, 32))
    compare(shape, (7, 9), plan, kind, accumulate=accumulate, moments=moments)


def test_outputs_have_the_type_of_the_map():
    """Triton's interpreter truncates to 16 bits, so half as precisely as rounding."""
    from epsanet_mmdet.ops.gpu.blocked_conv import blocked_conv

    x, weight = torch.randn(1, 6, 6, 16), torch.randn(16, 16, 1, 1) / 4
    blocking, tile = plan = ConvPlan(Blocking(1, 1, 1, 1, 1, 1), ConvTile(16, 16))
    for dtype, tolerance in ((torch.bfloat16, 8e-3), (torch.float16, 1e-3)):
        out = unwritten(1, 6, 6, 16, dtype=dtype)
        packed = pack(weight.to(dtype), blocking, tile.depth).contiguous()
        blocked_conv(x.to(dtype), packed, out, *plan, 'ieee')
        expected = F.conv2d(nchw(x.to(dtype)), weight.to(dtype).double())
        assert_close(nchw(out), expected, tolerance)
