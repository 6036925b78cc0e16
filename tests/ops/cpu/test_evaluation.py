"""The operators of evaluation against the library in double precision."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close
from torch.library import opcheck

from epsanet_mmdet.ops.cpu import kernels
from epsanet_mmdet.ops.cpu.evaluation import pointwise_conv, psa_attention, relu_max_pool

close = partial(assert_close, tolerance=3e-6, floor=1)
SETS = [*kernels.instruction_sets(), None]
SIZES = [(1, 1), (3, 5), (7, 7), (20, 20), (13, 70), (2, 300)]


@pytest.fixture(params=SETS, ids=str)
def instruction_set(request):
    with kernels.use_instruction_set(request.param):
        yield request.param


def pointwise_case(channels, outputs, size, stride, batch=2):
    x, weight = torch.randn(batch, channels, *size), torch.randn(outputs, channels, 1, 1)
    scale, shift, in_shift = torch.randn(outputs), torch.randn(outputs), torch.randn(channels)
    add = torch.randn_like(F.conv2d(x, weight, None, stride))
    return x, weight, scale, shift, add, torch.randn(batch, channels), in_shift


def pointwise_formula(x, weight, scale, shift, stride, relu, add, in_scale, in_shift):
    x, weight, scale, shift = (t.double() for t in (x, weight, scale, shift))
    if in_scale is not None:
        x = (x * in_scale.double()[..., None, None] + in_shift.double()[:, None, None]).relu()
    out = F.conv2d(x, weight, None, stride) * scale[:, None, None] + shift[:, None, None]
    out = out if add is None else out + add.double()
    return out.relu() if relu else out


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('channels, outputs', [(1, 1), (5, 3), (64, 66), (130, 17), (2048, 128)])
def test_pointwise_convolution_with_all_that_surrounds_it(
    instruction_set, channels, outputs, stride
):
    for i, size in enumerate(SIZES):
        x, weight, scale, shift, add, in_scale, in_shift = pointwise_case(
            channels, outputs, size, stride, batch=1 + i % 2
        )
        for extras in (
            (False, None, None, None),
            (True, add, None, None),
            (False, None, in_scale, in_shift),
            (True, add, in_scale, in_shift),
        ):
            expected = pointwise_formula(x, weight, scale, shift, stride, *extras)
            close(pointwise_conv(x, weight, scale, shift, stride, *extras), expected)


@pytest.mark.parametrize('size', SIZES)
def test_rectified_max_pool(instruction_set, size):
    x, scale, shift = torch.randn(2, 5, *size), torch.randn(5), torch.randn(5)
    rectified = (x * scale[:, None, None] + shift[:, None, None]).relu()
    close(relu_max_pool(x, scale, shift), F.max_pool2d(rectified, 3, 2, 1).double())


@pytest.mark.parametrize('branches, channels, hidden', [(4, 16, 1), (3, 5, 2), (4, 256, 16)])
def test_attention_of_psa(instruction_set, branches, channels, hidden):
    for size in SIZES:
        features = torch.randn(2, branches, channels, *size)
        weight1, bias1 = torch.randn(hidden, channels, 1, 1), torch.randn(hidden)
        weight2, bias2 = torch.randn(channels, hidden, 1, 1), torch.randn(channels)
        means = features.double().mean((3, 4))
        inner = (means @ weight1.flatten(1).double().t() + bias1.double()).relu()
        outer = (inner @ weight2.flatten(1).double().t() + bias2.double()).sigmoid()
        actual = psa_attention(features, weight1, bias1, weight2, bias2)
        close(actual, outer.softmax(dim=1))


def test_large_scores_do_not_overflow(instruction_set):
    ones = torch.ones(4, 4, 1, 1)
    for factor in (-1e4, 1e4):
        attention = psa_attention(
            torch.full((1, 2, 4, 3, 3), 1e4), ones, torch.zeros(4), factor * ones, torch.zeros(4)
        )
        torch.testing.assert_close(attention, torch.full((1, 2, 4), 0.5))


def test_a_value_that_is_not_a_number_is_not_hidden(instruction_set):
    x = torch.zeros(1, 2, 6, 40)
    x[0, 1, 3, 17] = float('nan')
    one, zero = torch.ones(2), torch.zeros(2)
    convolved = pointwise_conv(x, torch.ones(2, 2, 1, 1), one, zero, 1, True, None)
    assert convolved.isnan().nonzero().tolist() == [[0, 0, 3, 17], [0, 1, 3, 17]]
    expected = F.max_pool2d(x, 3, 2, 1).isnan()
    assert expected.any() and relu_max_pool(x, one, zero).isnan().equal(expected)


def test_any_memory_layout_and_no_images(instruction_set):
    x, weight, scale, shift, add, in_scale, in_shift = pointwise_case(8, 4, (6, 5), 1)
    expected = pointwise_conv(x, weight, scale, shift)
    for other in (
        x.contiguous(memory_format=torch.channels_last),
        x.transpose(2, 3).contiguous().transpose(2, 3),
        torch.stack([x, x], dim=1)[:, 1],
    ):
        torch.testing.assert_close(pointwise_conv(other, weight, scale, shift), expected)
        torch.testing.assert_close(
            relu_max_pool(other, in_shift, in_shift), relu_max_pool(x, in_shift, in_shift)
        )
    assert pointwise_conv(x[:0], weight, scale, shift, 2).shape == (0, 4, 3, 3)
    assert relu_max_pool(x[:0], in_shift, in_shift).shape == (0, 8, 3, 3)


def test_any_number_of_threads_gives_the_same_bits(instruction_set):
    if instruction_set is None:
        pytest.skip("the order of sums is the library's")
    x, weight, scale, shift, *_ = pointwise_case(64, 130, (10, 11), 1)
    threads, results = torch.get_num_threads(), []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        results.append(pointwise_conv(x, weight, scale, shift))
    torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_keeps_the_contract_of_torch_operators():
    x, weight, scale, shift, add, in_scale, in_shift = pointwise_case(8, 4, (6, 5), 2)
    checks = ('test_schema', 'test_faketensor')  # there are no gradients
    ops = torch.ops.epsanet_mmdet
    arguments = (x, weight, scale, shift, 2, True, add, in_scale, in_shift)
    opcheck(ops.pointwise_conv.default, arguments, test_utils=checks)
    opcheck(ops.pointwise_conv.default, (x, weight, scale, shift, 1, False), test_utils=checks)
    opcheck(ops.relu_max_pool.default, (x, in_shift, in_shift), test_utils=checks)
    features = x.unflatten(1, (2, 4))
    arguments = (features, torch.randn(1, 4, 1, 1), torch.randn(1), torch.randn(4, 1, 1, 1), shift)
    opcheck(ops.psa_attention.default, arguments, test_utils=checks)
