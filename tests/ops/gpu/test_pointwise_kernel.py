"""The 1x1 convolution with what is before and after it is that of torch."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close
from gpu_cases import TYPES, assert_sums, nchw, unwritten, within

from epsanet_mmdet.ops.gpu.tiles import PointwiseTile

pytestmark = pytest.mark.interpreted
OPTIONS = ('in_affine', 'affine', 'add', 'relu', 'moments')


def compare(size, inputs, outputs, tile, kind, transposed=False, **options):
    from epsanet_mmdet.ops.gpu.pointwise import pointwise

    dtype, precision, tolerance = TYPES[kind]
    x = within(torch.randn(*size, inputs).to(dtype), 1, 2, 0, 1)
    weight = (torch.randn(outputs, inputs) / inputs**0.5).to(dtype)
    weight = weight.t().contiguous().t() if transposed else weight
    out = within(unwritten(*size, outputs), 2, 0, 1, 1)
    more, source = {'relu': options.get('relu', False)}, nchw(x)
    if options.get('in_affine'):
        more['in_scale'], more['in_shift'] = torch.randn(size[0], inputs), torch.randn(inputs)
        scaled = source * more['in_scale'].double()[..., None, None]
        source = F.relu(scaled + more['in_shift'].double()[:, None, None])
    expected = F.conv2d(source, weight.double()[..., None, None])
    if options.get('affine'):
        more['scale'], more['shift'] = torch.randn(outputs), torch.randn(outputs)
        expected = expected * more['scale'].double()[:, None, None]
        expected = expected + more['shift'].double()[:, None, None]
    if options.get('add'):
        more['add'] = torch.randn(*size, outputs).to(dtype)
        expected = expected + nchw(more['add'])
    expected = F.relu(expected) if options.get('relu') else expected
    if options.get('moments'):
        tiles = -(-size[1] * size[2] // tile.pixels)
        more['sums'], more['squares'] = (unwritten(size[0], tiles, outputs) for _ in range(2))
    pointwise(x, weight, out, tile, precision, **more)
    tolerance = 4 * tolerance if options.get('in_affine') else tolerance  # rounded once more
    assert_close(nchw(out), expected, tolerance)
    if options.get('moments'):
        assert_sums(more['sums'], expected, tolerance)
        assert_sums(more['squares'], expected.square(), tolerance)


@pytest.mark.parametrize('kind', TYPES)
def test_it_does_what_is_before_and_after_it(kind):
    for chosen in product((False, True), repeat=len(OPTIONS)):
        compare((2, 7, 9), 32, 16, PointwiseTile(32, 16, 16), kind, **dict(zip(OPTIONS, chosen)))


@pytest.mark.parametrize('sides', [(1, 1), (1, 17), (5, 3), (8, 8), (13, 18)], ids=str)
@pytest.mark.parametrize('tile', [(16, 16, 16), (64, 32, 16), (32, 64, 64)], ids=str)
def test_maps_and_channels_are_cut_into_tiles(tile, sides):
    compare((3, *sides), 64, 64, PointwiseTile(*tile), 'fp32', affine=True, moments=True)


@pytest.mark.parametrize('kind', TYPES)
def test_weights_may_be_transposed(kind):
    compare((2, 5, 7), 32, 48, PointwiseTile(16, 16, 32), kind, transposed=True)


def test_maps_may_be_strided():
    """As in the shortcut of a block that halves the map."""
    from epsanet_mmdet.ops.gpu.pointwise import pointwise

    x, weight = torch.randn(2, 7, 9, 16), torch.randn(32, 16)
    out = unwritten(2, 4, 5, 32)
    pointwise(x[:, ::2, ::2], weight, out, PointwiseTile(16, 32, 16), TYPES['fp32'][1])
    expected = F.conv2d(nchw(x), weight.double()[..., None, None], stride=2)
    assert_close(nchw(out), expected, 1e-5)
