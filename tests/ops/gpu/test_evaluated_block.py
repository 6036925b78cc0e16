"""Blocks and the stem in evaluation mode on GPUs are the modules in double precision."""

import copy

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close
from fusing import plainly
from gpu_cases import nchw, unwritten
from norm_statistics import randomise

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.block import block_parts, stem_parts
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF, TF32

pytestmark = pytest.mark.interpreted
COMPUTES = {
    'ieee': (Compute(torch.float32, 'ieee', 8), 1e-5),
    'fp32': (Compute(torch.float32, FLOAT32, 8), 1e-5),
    'tf32': (Compute(torch.float32, TF32, 8), 5e-3),
    'bf16': (Compute(torch.bfloat16, HALF, 8), 4e-2),
    'few': (Compute(torch.float32, FLOAT32, 1, wgmma=False), 1e-5),
}


@torch.no_grad()
def compare(block, size, compute, tolerance):
    from epsanet_mmdet.ops.gpu.compute import as_nchw, as_nhwc
    from epsanet_mmdet.ops.gpu.evaluation import EvaluatedBlock

    channels = block.conv1.in_channels
    x = torch.randn(size[0], channels, *size[1:]).to(compute.dtype)
    with plainly():
        expected = copy.deepcopy(block).double()(x.double())
    first, second = (
        as_nhwc(x.contiguous(memory_format=layout), compute)
        for layout in (torch.contiguous_format, torch.channels_last)
    )
    assert first.equal(second) and first.is_contiguous() and second.is_contiguous()
    out = EvaluatedBlock(block_parts(block, channels), compute)(first)
    assert_close(as_nchw(out).double(), expected, tolerance)


def blocks(arch='small', **options):
    torch.manual_seed(0)
    network = randomise(EPSANet(50, arch, **options)).eval()
    return [list(getattr(network, name)) for name in network.res_layers]


@pytest.mark.parametrize('kind', COMPUTES)
@pytest.mark.parametrize('arch', ['small', 'large'])
def test_a_block_with_a_projected_shortcut(arch, kind):
    compare(blocks(arch)[0][0], (2, 5, 7), *COMPUTES[kind])


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_a_block_without_one(arch):
    compare(blocks(arch)[0][1], (2, 5, 7), *COMPUTES['fp32'])


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_a_block_halves_the_map(arch):
    compare(blocks(arch)[1][0], (1, 9, 13), *COMPUTES['fp32'])


def test_a_block_of_style_caffe_halves_the_map_first():
    compare(blocks(style='caffe')[1][0], (1, 9, 7), *COMPUTES['fp32'])


def test_a_dilated_block():
    options = dict(strides=(1, 1, 1, 1), dilations=(1, 2, 2, 4))
    compare(blocks(**options)[1][1], (1, 7, 5), *COMPUTES['fp32'])


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['small', 'large'])
@pytest.mark.parametrize('stage', [2, 3])
def test_blocks_of_many_channels(stage, arch):
    for block in blocks(arch)[stage][:2]:
        compare(block, (2, 5, 7), *COMPUTES['fp32'])


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (8, 8), (13, 18)], ids=str)
def test_the_pooling_of_the_stem(size):
    from epsanet_mmdet.ops.gpu.stem import norm_relu_max_pool

    x, scale, shift = torch.randn(2, *size, 64), torch.randn(64), torch.randn(64)
    out = unwritten(2, *(-(-side // 2) for side in size), 64)
    norm_relu_max_pool(x, scale, shift, out)
    normed = nchw(x) * scale.double()[:, None, None] + shift.double()[:, None, None]
    assert_close(nchw(out), F.max_pool2d(F.relu(normed), 3, 2, 1), 1e-6)


def test_pooling_keeps_nan():
    """As torch's pooling does: a network that diverged must not look sound."""
    from epsanet_mmdet.ops.gpu.stem import norm_relu_max_pool

    x, out = torch.randn(1, 8, 8, 16), unwritten(1, 4, 4, 16)
    x[0, 5, 5, 3] = float('nan')
    norm_relu_max_pool(x, torch.ones(16), torch.zeros(16), out)
    expected = F.max_pool2d(F.relu(nchw(x)), 3, 2, 1)
    assert nchw(out).isnan().equal(expected.isnan()) and expected.isnan().any()


@torch.no_grad()
def test_the_stem():
    from epsanet_mmdet.ops.gpu.evaluation import EvaluatedStem

    network = randomise(EPSANet(50)).eval()
    images = torch.randn(2, 3, 33, 46)
    stem = stem_parts(network)
    out = EvaluatedStem(stem.conv, stem.norm, COMPUTES['fp32'][0])(images)
    exact = copy.deepcopy(network).double()
    expected = exact.maxpool(exact.relu(exact.norm1(exact.conv1(images.double()))))
    assert_close(nchw(out), expected, 1e-5)
