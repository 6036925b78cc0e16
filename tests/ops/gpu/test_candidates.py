"""The candidates of a plan fit the GPU, compute the convolution, and are few."""

import pytest
import torch

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.gpu.candidates import MOST, conv_candidates, pointwise_candidates
from epsanet_mmdet.ops.gpu.choice import conv_rule, pointwise_rule
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF, TF32, ConvShape
from epsanet_mmdet.ops.gpu.plan_file import TunedConv, TunedPointwise
from epsanet_mmdet.ops.gpu.problems import problems_of

H100 = 132, 227 * 1024, True
RTX4090 = 128, 99 * 1024, False
COMPUTES = [
    Compute(dtype, precision, *gpu)
    for dtype, precision in (
        (torch.bfloat16, HALF),
        (torch.float32, TF32),
        (torch.float32, FLOAT32),
    )
    for gpu in (H100, RTX4090)
]


def problems(arch, *size):
    return list(dict.fromkeys(problems_of(EPSANet(50, arch), *size)))


def test_a_network_s_problems():
    """Written by hand for the first blocks of the first and second stage."""
    found = problems('small', 2, 800, 1280)
    psa = [(9, 16), (7, 8), (5, 4), (3, 1)]
    first = [ConvShape(64, 16, size, groups, 1, 1) for size, groups in psa]
    assert [p.shape for p in found if not p.is_pointwise][:4] == first
    assert {tuple(p[1:]) for p in found if p.shape in first} == {(2, 200, 320)}
    halving = [p for p in found if p.shape.stride == 2]
    assert {tuple(p[1:]) for p in halving} == {(2, 100, 160), (2, 50, 80), (2, 25, 40)}
    pointwise = {(p.shape.inputs, p.shape.outputs, *p[1:]) for p in found if p.is_pointwise}
    assert {(64, 64, 2, 200, 320), (64, 256, 2, 200, 320), (256, 64, 2, 200, 320)} <= pointwise
    assert {(256, 128, 2, 200, 320), (256, 512, 2, 100, 160)} <= pointwise  # the second stage


def test_other_networks_have_none():
    assert not list(problems_of(torch.nn.Conv2d(3, 8, 3), 1, 64, 64))
    detector = torch.nn.ModuleDict(dict(backbone=EPSANet(50), neck=torch.nn.Identity()))
    assert len(list(problems_of(detector, 1, 64, 64))) == len(
        list(problems_of(EPSANet(50), 1, 64, 64))
    )


@pytest.mark.parametrize('compute', COMPUTES, ids=lambda c: f'{c.precision}-{c.multiprocessors}')
@pytest.mark.parametrize('arch', ['small', 'large'])
@pytest.mark.parametrize('size', [(2, 800, 1280), (1, 320, 320)], ids=str)
def test_candidates(arch, size, compute):
    for problem in problems(arch, *size):
        shape, pixels = problem.shape, problem.pixels
        if problem.is_pointwise:
            found = pointwise_candidates(pixels, shape.inputs, shape.outputs, compute)
            rule = pointwise_rule(pixels, shape.inputs, shape.outputs, compute)
            for tile in found:
                names = ('rows', 'columns', 'depth', 'warps', 'stages')
                TunedPointwise(
                    compute.precision, shape.inputs, shape.outputs, pixels, **dict(zip(names, tile))
                )
        else:
            found, rule = conv_candidates(shape, pixels, compute), conv_rule(shape, pixels, compute)
            for plan in found:
                parts = plan.blocking._asdict() | plan.tile._asdict() | shape._asdict()
                TunedConv(precision=compute.precision, pixels=pixels, **parts)
                assert plan.blocking.pixels * shape.outputs // plan.blocking.products <= 128
        assert found[0] == rule
        assert 4 < len(found) == len(set(found)) <= MOST


@pytest.mark.parametrize('pixels', [1, 7, 63, 300, 10**4, 10**6])
@pytest.mark.parametrize('compute', COMPUTES, ids=lambda c: f'{c.precision}-{c.multiprocessors}')
def test_the_rules_are_valid_for_any_number_of_pixels(compute, pixels):
    """Tensor cores multiply at least 16x16 values."""
    for problem in problems('small', 1, 64, 64) + problems('large', 1, 64, 64):
        shape = problem.shape
        if problem.is_pointwise:
            tile = pointwise_rule(pixels, shape.inputs, shape.outputs, compute)
            names = ('rows', 'columns', 'depth', 'warps', 'stages')
            TunedPointwise(
                compute.precision, shape.inputs, shape.outputs, pixels, **dict(zip(names, tile))
            )
        else:
            plan = conv_rule(shape, pixels, compute)
            parts = plan.blocking._asdict() | plan.tile._asdict() | shape._asdict()
            TunedConv(precision=compute.precision, pixels=pixels, **parts)
