"""What EPSANet's blocks compute in training, and its gradients, against torch's own operations."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close
from torch import nn

from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.ops.cpu import kernels
from epsanet_mmdet.ops.cpu.channel_norm import ChannelNorm
from epsanet_mmdet.ops.cpu.training import (
    conv1x1,
    norm_add_relu,
    norm_relu_branches,
    norm_relu_conv1x1,
)
from epsanet_mmdet.ops.parts import branches_of, squeeze_of

close = partial(assert_close, tolerance=2e-5, floor=1)
pytestmark = pytest.mark.skipif(not kernels.instruction_sets(), reason='kernels not built')


def norm_of(channels, training, psa=None):
    norm = nn.BatchNorm2d(channels).train(training)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    return ChannelNorm(norm, squeeze_of(psa, 8), psa.branches) if psa else ChannelNorm(norm)


def psa_module(stride=1):
    return PSAModule(32, 32, groups=(1, 2, 4, 8), stride=stride, reduction=2)


def conv1x1_case(training):
    conv = nn.Conv2d(32, 16, 1, stride=2, bias=False)
    x = torch.randn(2, 32, 5, 8)
    return (
        lambda x: conv1x1(x, conv.weight, 2),
        lambda x: F.conv2d(x, conv.weight, None, 2),
        [x],
        [conv],
    )


def conv_case(training, psa=None):
    conv, norm = nn.Conv2d(32, 16, 1, bias=False), norm_of(32, training, psa)

    def plain(x):
        return F.conv2d(norm.plain(x, *norm.parameters).relu(), conv.weight)

    modules = [conv, norm.norm, *([psa.se] if psa else [])]
    return (
        lambda x: norm_relu_conv1x1(x, norm, conv.weight),
        plain,
        [torch.randn(2, 32, 5, 7)],
        modules,
    )


def attention_case(training):
    return conv_case(training, psa_module())


def branches_case(training, stride=1):
    psa, norm = psa_module(stride), norm_of(32, training)

    def plain(x):
        y = norm.plain(x, *norm.parameters).relu()
        convs = [F.conv2d(y, c.weight, None, c.stride, c.padding, 1, c.groups) for c in psa.convs]
        return torch.cat(convs, dim=1)

    modules = [norm.norm, *psa.convs]
    return (
        lambda x: norm_relu_branches(x, norm, branches_of(psa.convs)),
        plain,
        [torch.randn(2, 32, 9, 7)],
        modules,
    )


def strided_branches_case(training):
    return branches_case(training, stride=2)


def sum_case(training):
    norm = norm_of(32, training)
    return (
        lambda x, add: norm_add_relu(x, norm, add),
        lambda x, add: (norm.plain(x, *norm.parameters) + add).relu(),
        [torch.randn(2, 32, 5, 7), torch.randn(2, 32, 5, 7)],
        [norm.norm],
    )


def norm_case(training):
    norm = norm_of(32, training)
    return (
        lambda x: norm_add_relu(x, norm, relu=False),
        lambda x: norm.plain(x, *norm.parameters),
        [torch.randn(2, 32, 5, 7)],
        [norm.norm],
    )


CASES = [
    conv1x1_case,
    conv_case,
    attention_case,
    branches_case,
    strided_branches_case,
    sum_case,
    norm_case,
]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def case(request):
    torch.manual_seed(0)
    return request.param


def parameters_of(modules):
    return [p for module in modules for p in module.parameters()]


@pytest.mark.parametrize('training', [False, True])
def test_value_and_gradients(case, training):
    ours, plain, maps, modules = case(training)
    tensors = [*[m.requires_grad_() for m in maps], *parameters_of(modules)]
    out, expected = ours(*maps), plain(*maps)
    close([out], [expected])
    grad = torch.randn_like(expected)
    close(torch.autograd.grad(out, tensors, grad), torch.autograd.grad(expected, tensors, grad))


@pytest.mark.parametrize('training', [False, True])
def test_gradients_of_gradients(case, training):
    ours, plain, maps, modules = case(training)
    tensors = [*[m.requires_grad_() for m in maps], *parameters_of(modules)]
    results = []
    for function in (ours, plain):
        first = torch.autograd.grad(function(*maps).sin().sum(), tensors, create_graph=True)
        total = sum(g.square().mean() for g in first)
        results.append(torch.autograd.grad(total, tensors, allow_unused=True))
    pairs = [(a, b) for a, b in zip(*results, strict=True) if a is not None or b is not None]
    close(*zip(*pairs))


def test_what_is_frozen_gets_no_gradients(case):
    ours, plain, maps, modules = case(True)
    parameters = parameters_of(modules)
    for i, parameter in enumerate(parameters):
        parameter.requires_grad_(i % 2 == 0)
    ours(*maps).sum().backward()
    assert [p.grad is not None for p in parameters] == [p.requires_grad for p in parameters]
    assert all(m.grad is None for m in maps)


def test_a_graph_that_is_kept_can_be_used_twice(case):
    ours, plain, maps, modules = case(True)
    total = ours(*[m.requires_grad_() for m in maps]).square().sum()
    once = torch.autograd.grad(total, maps, retain_graph=True)
    close(torch.autograd.grad(total, maps), once)


def test_maps_and_gradients_in_any_memory_format(case):
    ours, plain, maps, modules = case(False)
    out = ours(*[m.requires_grad_() for m in maps])
    grad = torch.randn_like(out)
    expected = torch.autograd.grad(out, maps, grad)
    strided = [m.detach().contiguous(memory_format=torch.channels_last) for m in maps]
    out = ours(*[m.requires_grad_() for m in strided])
    grad = grad.contiguous(memory_format=torch.channels_last)
    close(torch.autograd.grad(out, strided, grad), expected)
