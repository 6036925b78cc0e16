"""The direct kernel against the library in double precision, for every instruction set here."""

import itertools
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close

from epsanet_mmdet.ops.cpu import direct_conv, kernels
from epsanet_mmdet.ops.cpu.direct_conv import Conv

check = partial(assert_close, tolerance=3e-6, floor=1)
SETS = kernels.instruction_sets()
SIZES = [(1, 1), (7, 5), (20, 20), (11, 37), (2, 90)]
needs_kernel = pytest.mark.skipif(not SETS, reason='the kernels were not built')


def case(batch, inputs, outputs, groups, kernel, size, stride=1, dilation=1):
    """Input, weight, gradient of the output; and the three expected results, in double."""
    x = torch.randn(batch, groups * inputs, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(groups * outputs, inputs, kernel, kernel, dtype=torch.float64)
    weight.requires_grad_()
    padding = dilation * (kernel // 2)
    y = F.conv2d(x, weight, None, stride, padding, dilation, groups)
    grad = torch.randn_like(y)
    expected = y, *torch.autograd.grad(y, (x, weight), grad)
    return [t.detach().float() for t in (x, weight, grad)], [t.detach() for t in expected]


def compute(x, weight, grad, groups, stride=1, dilation=1):
    conv = Conv(weight, groups, stride, dilation)
    results = [torch.full_like(t, float('nan')) for t in (grad, x, weight)]
    direct_conv.forward(x, [conv], results[:1])
    direct_conv.input_gradient(grad, conv, results[1], accumulate=False)
    direct_conv.weight_gradients(x, [grad], [conv], results[2:])
    return results


@needs_kernel
@pytest.mark.parametrize('kernel', [1, 3, 5, 7, 9])
@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize('name', SETS)
def test_convolves_and_differentiates_as_the_library_does(name, stride, dilation, kernel):
    shapes = itertools.product(SIZES, [1, 4], [1, 2, 3, 4])
    for batch, (size, inputs, outputs) in zip(itertools.cycle([1, 2]), shapes):
        groups = 3 if batch == 1 else 2
        given, expected = case(batch, inputs, outputs, groups, kernel, size, stride, dilation)
        with kernels.use_instruction_set(name):
            check(compute(*given, groups, stride, dilation), expected)


@needs_kernel
@pytest.mark.parametrize('name', SETS)
def test_maps_larger_than_the_cache_are_computed_in_bands(name):
    given, expected = case(1, 16, 4, 1, 9, (61, 300))
    with kernels.use_instruction_set(name):
        check(compute(*given, 1), expected)
    given, expected = case(1, 16, 4, 1, 5, (61, 300), stride=2)
    with kernels.use_instruction_set(name):
        check(compute(*given, 1, stride=2), expected)


@needs_kernel
def test_several_branches_of_one_input_at_once():
    x = torch.randn(2, 16, 12, 13)
    sizes, groups = (9, 5, 3), (8, 4, 1)
    weights = [torch.randn(8, 16 // g, k, k) for k, g in zip(sizes, groups)]
    outs = [torch.empty(2, 8, 12, 13) for _ in weights]
    direct_conv.forward(x, [Conv(w, g, 1, 1) for w, g in zip(weights, groups)], outs)
    for out, w, g, k in zip(outs, weights, groups, sizes):
        torch.testing.assert_close(out, F.conv2d(x, w, None, 1, k // 2, 1, g), rtol=0, atol=1e-4)


@needs_kernel
@pytest.mark.parametrize('stride', [1, 2])
def test_adds_to_a_gradient(stride):
    (x, weight, grad), (_, expected, _) = case(1, 4, 2, 3, 5, (9, 8), stride)
    gradient = torch.ones_like(x)
    direct_conv.input_gradient(grad, Conv(weight, 3, stride, 1), gradient, accumulate=True)
    check(gradient - 1, expected)


@needs_kernel
def test_reads_and_writes_slices_of_larger_tensors():
    (x, weight, grad), expected = case(2, 4, 2, 3, 5, (9, 8))
    wide_x, wide_grad = torch.randn(2, 3, 12, 9, 8), torch.randn(2, 3, 6, 9, 8)
    wide_x[:, 1], wide_grad[:, 1] = x, grad
    out = torch.zeros_like(wide_grad)
    conv = Conv(weight, 3, 1, 1)
    direct_conv.forward(wide_x[:, 1], [conv], [out[:, 1]])
    check(out[:, 1], expected[0])
    assert not out[:, [0, 2]].any()
    results = compute(wide_x[:, 1], weight, wide_grad[:, 1], 3)
    check(results, expected)


@needs_kernel
@pytest.mark.parametrize('size', [(14, 14), (40, 33), (1, 7)])
def test_any_number_of_threads_gives_the_same_bits(size):
    given, _ = case(2, 8, 4, 2, 7, size)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        results.append(compute(*given, 2))
    torch.set_num_threads(threads)
    for other in results[1:]:
        for ours, theirs in zip(results[0], other):
            assert torch.equal(ours, theirs)


@needs_kernel
def test_nothing_but_its_own_inputs_makes_an_output_infinite():
    x, weight = torch.zeros(1, 4, 12, 20), torch.ones(4, 4, 3, 3)
    x[0, 0, 5, 19] = float('inf')  # at the right edge, beside the next row's first columns
    out = torch.empty(1, 4, 12, 20)
    direct_conv.forward(x, [Conv(weight, 1, 1, 1)], [out])
    affected = out.isfinite().logical_not().any(dim=1)[0].nonzero().tolist()
    assert affected == [[y, x] for y in (4, 5, 6) for x in (18, 19)]
