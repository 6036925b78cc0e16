"""The operator that convolves one map by several branches: exact, and known to torch."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close
from torch.library import opcheck

from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.ops.cpu import direct_conv, kernels
from epsanet_mmdet.ops.cpu.branch_convs import branch_convs, computed_directly

close = partial(assert_close, tolerance=3e-6)
OPERATOR = torch.ops.epsanet_mmdet.branch_convs
needs_kernel = pytest.mark.skipif(
    kernels.instruction_set() is None, reason='the kernels were not built'
)
KERNELS, GROUPS = (9, 7, 3), (16, 8, 1)  # two for the direct kernel, one for the library


def branches(
    channels=64, outputs=16, sizes=KERNELS, groups=GROUPS, dtype=torch.float32, size=(9, 11)
):
    x = torch.randn(2, channels, *size, dtype=dtype, requires_grad=True)
    weights = [
        torch.randn(outputs, channels // g, k, k, dtype=dtype, requires_grad=True)
        for k, g in zip(sizes, groups)
    ]
    return x, weights


def by_library(x, weights, groups, stride, dilation):
    return torch.stack(
        [
            F.conv2d(x, w, None, stride, dilation * (w.shape[-1] // 2), dilation, g)
            for w, g in zip(weights, groups)
        ],
        dim=1,
    )


def double(x, weights):
    return [t.detach().double().requires_grad_() for t in (x, *weights)]


def check_value_and_gradients(x, weights, groups, stride, dilation):
    exact_x, *exact_weights = double(x, weights)
    actual = branch_convs(x, weights, groups, stride, dilation)
    expected = by_library(exact_x, exact_weights, groups, stride, dilation)
    close(actual, expected)
    grad = torch.randn_like(actual)
    gradients = torch.autograd.grad(actual, (x, *weights), grad)
    exact = torch.autograd.grad(expected, (exact_x, *exact_weights), grad.double())
    for ours, theirs in zip(gradients, exact):
        close(ours, theirs)


@pytest.mark.parametrize('direct', [True, False])
@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize(
    'sizes, groups, outputs',
    [
        (KERNELS, GROUPS, 32),
        ((11, 5, 3), (16, 16, 1), 32),
        ((3, 5, 7), (32, 32, 32), 32),
        ((7, 5, 5, 3), (16, 16, 16, 8), 16),  # two alike, which the library computes as one
        ((5, 9, 7, 3), (16, 16, 8, 1), 16),  # and two nearly so
    ],
)
def test_equals_the_convolutions_and_their_gradients(
    sizes, groups, outputs, stride, dilation, direct
):
    x, weights = branches(sizes=sizes, groups=groups, outputs=outputs)
    name = kernels.instruction_set() if direct else None
    with kernels.use_instruction_set(name):
        check_value_and_gradients(x, weights, groups, stride, dilation)


@needs_kernel
@pytest.mark.parametrize('stride', [1, 2])
def test_keeps_the_contract_of_torch_operators(stride):
    x, weights = branches()
    opcheck(OPERATOR.default, (x, weights, list(GROUPS), stride, 1))
    frozen = [weights[0].detach(), *weights[1:]]
    opcheck(OPERATOR.default, (x.detach(), frozen, list(GROUPS), stride, 1))
    grad = torch.randn_like(branch_convs(x, weights, GROUPS, stride, 1))
    with torch.no_grad():
        backward = torch.ops.epsanet_mmdet.branch_convs_backward.default
        arguments = (grad, x, weights, list(GROUPS), stride, 1, [True, True, False, True])
        opcheck(backward, arguments, test_utils=('test_schema', 'test_faketensor'))


@needs_kernel
@pytest.mark.parametrize('wanted', ['x', 0, 2])
def test_computes_only_the_gradients_that_are_wanted(wanted):
    x, weights = branches()
    expected = torch.autograd.grad(branch_convs(x, weights, GROUPS, 1, 1).sum(), (x, *weights))
    for tensor in (x, *weights):
        tensor.requires_grad_(False)
    tensor = x if wanted == 'x' else weights[wanted]
    tensor.requires_grad_()
    branch_convs(x, weights, GROUPS, 1, 1).sum().backward()
    torch.testing.assert_close(tensor.grad, expected[0 if wanted == 'x' else wanted + 1])
    assert sum(t.grad is not None for t in (x, *weights)) == 1


@needs_kernel
def test_second_derivatives_come_from_the_library():
    x, weights = branches()
    exact_x, *exact_weights = double(x, weights)

    def penalty(function, x, weights):
        output = function(x, weights, GROUPS, 1, 1).square().sum()
        (grad,) = torch.autograd.grad(output, x, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), weights)

    expected = penalty(by_library, exact_x, exact_weights)
    for ours, theirs in zip(penalty(branch_convs, x, weights), expected):
        close(ours, theirs, tolerance=1e-5)


@needs_kernel
def test_input_in_any_memory_layout():
    x, weights = branches()
    expected = branch_convs(x, weights, GROUPS, 1, 1)
    for other in (
        x.contiguous(memory_format=torch.channels_last),
        x.transpose(2, 3).contiguous().transpose(2, 3),
        torch.stack([x, x], dim=1)[:, 1],
        x[:1].expand(2, -1, -1, -1),
    ):
        wanted = expected if other.shape == x.shape and other[1].equal(x[1]) else expected[[0, 0]]
        torch.testing.assert_close(
            branch_convs(other, weights, GROUPS, 1, 1), wanted, rtol=0, atol=1e-4
        )


def test_a_batch_of_no_images():
    _, weights = branches()
    x = torch.zeros(0, 64, 9, 11, requires_grad=True)
    output = branch_convs(x, weights, GROUPS, 1, 1)
    assert output.shape == (0, 3, 16, 9, 11)
    output.sum().backward()
    assert x.grad.shape == x.shape and not weights[0].grad.any()


@needs_kernel
@pytest.mark.parametrize(
    'size, stride, direct', [((6, 23), 1, 2), ((6, 23), 2, 1), ((23, 6), 1, 1)]
)
def test_wider_groups_go_to_the_direct_kernel_forward_on_wide_maps(
    size, stride, direct, monkeypatch
):
    counts, forward = [], direct_conv.forward

    def spy(x, convs, outs):
        counts.append(len(convs))
        forward(x, convs, outs)

    monkeypatch.setattr(direct_conv, 'forward', spy)
    groups = (8, 2, 1)  # of 8, 32 and 64 channels
    x, weights = branches(sizes=(5, 5, 3), groups=groups, size=size)
    check_value_and_gradients(x, weights, groups, stride, 1)
    assert counts == [direct]


@needs_kernel
@pytest.mark.parametrize('stride', [1, 2])
@torch.no_grad()
def test_compiles_without_a_break_at_any_size(stride):
    torch._dynamo.reset()
    layer = PSAModule(64, 64, stride=stride)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend='aot_eager')
    for size in ((9, 11), (14, 6)):
        x = torch.randn(2, 64, *size)
        torch.testing.assert_close(compiled(x), layer(x))


@needs_kernel
def test_compiled_training_gives_the_same_gradients():
    torch._dynamo.reset()
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 9, 11)
    compiled = torch.compile(layer, fullgraph=True, backend='aot_eager')
    weights = [layer.conv_1.weight, layer.conv_4.weight]
    expected = torch.autograd.grad(layer(x).square().sum(), weights)
    actual = torch.autograd.grad(compiled(x).square().sum(), weights)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@needs_kernel
@pytest.mark.parametrize(
    'change, direct',
    [
        (dict(), [0, 1]),  # of 4 and 8 channels a group
        (dict(channels=512), []),  # of 32 and more
        (dict(sizes=(11, 7, 3)), [1]),
        (dict(dtype=torch.float64), []),
        (dict(dtype=torch.bfloat16), []),
    ],
    ids=str,
)
def test_narrow_groups_of_float32_go_to_the_direct_kernel(change, direct):
    x, weights = branches(**change)
    assert computed_directly(x, weights, GROUPS, 1, 1) == direct
    assert computed_directly(x, weights, GROUPS, 2, 2) == []
    x = x.contiguous(memory_format=torch.channels_last)
    assert computed_directly(x, weights, GROUPS, 1, 1) == []
    with kernels.use_instruction_set(None):
        assert computed_directly(x, weights, GROUPS, 1, 1) == []
