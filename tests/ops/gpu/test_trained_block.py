"""Blocks in training on GPUs have the outputs, gradients and statistics of the modules."""

import copy

import pytest
import torch
from closeness import assert_close
from fusing import plainly
from norm_statistics import randomise

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.block import block_parts
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF

pytestmark = pytest.mark.interpreted
FULL = Compute(torch.float32, FLOAT32, 8)


def block(arch='small', stage=0, index=1, training=True, **options):
    torch.manual_seed(0)
    network = randomise(EPSANet(50, arch, **options))
    return getattr(network, network.res_layers[stage])[index].train(training)


def compare(module, size, compute=FULL, tolerance=1e-4):
    """Compare a pass and its gradients with the plain modules in double precision."""
    from epsanet_mmdet.ops.gpu.training import train_block

    exact = copy.deepcopy(module).double()
    channels = module.conv1.in_channels
    x = torch.randn(size[0], channels, *size[1:]).to(compute.dtype).requires_grad_()
    same = x.detach().double().requires_grad_()
    out = train_block(block_parts(module, channels), x, compute)
    weights = torch.randn(out.shape).to(out.dtype)
    out.backward(weights)
    with plainly():
        expected = exact(same)
    expected.backward(weights.double())
    assert_near(out, expected, tolerance)
    assert_near(x.grad, same.grad, tolerance)
    largest = max(p.grad.norm() for p in exact.parameters() if p.grad is not None)
    for (name, ours), theirs in zip(module.named_parameters(), exact.parameters(), strict=True):
        if not theirs.requires_grad:
            assert ours.grad is None, name
            continue
        assert_near(ours.grad, theirs.grad, tolerance, 1e-3 * largest)
    for ours, theirs in zip(module.buffers(), exact.buffers(), strict=True):
        assert_near(ours, theirs.double(), tolerance)


def assert_near(actual, expected, tolerance, least=0.0):
    """Compare norms: in 16 bits, rounding decides whether single values pass a ReLU."""
    difference = (actual.double() - expected).norm()
    assert difference <= tolerance * max(expected.norm(), least), difference / expected.norm()


@pytest.mark.parametrize('training', [True, False], ids=['batch statistics', 'running statistics'])
@pytest.mark.parametrize('arch', ['small', 'large'])
def test_a_block(arch, training):
    compare(block(arch, training=training), (2, 5, 7))


@pytest.mark.parametrize('training', [True, False], ids=['batch statistics', 'running statistics'])
def test_a_block_that_halves_the_map(training):
    compare(block(stage=1, index=0, training=training), (2, 5, 6))


def test_a_block_with_a_projected_shortcut():
    compare(block('large', index=0), (2, 6, 5))


def test_a_block_of_style_caffe_halves_the_map_first():
    compare(block(stage=1, index=0, style='caffe'), (2, 5, 6))


def test_frozen_parameters_have_no_gradient():
    module = block()
    for p in [*module.norm2.parameters(), module.conv1.weight, *module.conv2.convs[0].parameters()]:
        p.requires_grad_(False)
    compare(module, (2, 5, 7))


def test_running_statistics_are_averages_of_all_batches_without_a_momentum():
    module = block()
    for norm in (module.norm1, module.norm2, module.norm3):
        norm.momentum = None
        norm.num_batches_tracked.fill_(3)
    compare(module, (2, 5, 7))


def test_sixteen_bits():
    compare(block(), (2, 5, 7), Compute(torch.bfloat16, HALF, 8), tolerance=0.15)


def test_gradients_of_gradients_are_those_of_torch():
    from epsanet_mmdet.ops.gpu.training import train_block

    module = block()
    exact = copy.deepcopy(module).double()
    x = torch.randn(2, 256, 4, 5, requires_grad=True)
    same = x.detach().double().requires_grad_()

    def penalty(out, x):
        grad = torch.autograd.grad(out.square().sum(), x, create_graph=True)[0]
        return torch.autograd.grad(grad.square().sum(), x)[0]

    ours = penalty(train_block(block_parts(module, 256), x, FULL), x)
    with plainly():
        assert_close(ours.double(), penalty(exact(same), same), 1e-3)
