"""Merging groups changes how a convolution is computed, and nothing else."""

import pytest
import torch
import torch.nn.functional as F

from epsanet_mmdet.layers.deployed_psa import split_groups
from epsanet_mmdet.ops.merging import library_convs, merge_groups, merged_groups


@pytest.mark.parametrize('merged', [1, 2, 4, 8, 16])
def test_a_block_diagonal_weight_gives_the_grouped_convolution(merged):
    x, weight = torch.randn(2, 32, 9, 7), torch.randn(48, 2, 5, 5)
    wide = merge_groups(weight, 16, merged)
    assert wide.shape == (48, 32 // merged, 5, 5)
    torch.testing.assert_close(
        F.conv2d(x, wide, groups=merged), F.conv2d(x, weight, groups=16), atol=1e-4, rtol=1e-5
    )


@pytest.mark.parametrize('merged', [1, 4, 16])
def test_splitting_takes_the_blocks_back(merged):
    weight = torch.randn(48, 2, 5, 3)
    assert torch.equal(split_groups(merge_groups(weight, 16, merged), 16, merged), weight)


def test_merges_until_a_group_is_wide_enough_and_no_further():
    x = torch.empty(0)
    assert merged_groups(64, 16, x) == 4  # 16 channels each
    assert merged_groups(256, 16, x) == 16  # wide enough as they are
    assert merged_groups(8, 8, x) == 1
    assert merged_groups(21, 7, x) == 7  # an odd number of groups has no half


BRANCHES = [
    ((9, 7, 3), (16, 8, 1)),
    ((7, 5, 5, 3), (16, 16, 16, 8)),  # two alike, computed as one
    ((5, 9, 7, 3), (16, 16, 8, 1)),  # and two nearly so
]


@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize('sizes, groups', BRANCHES)
def test_the_branches_and_their_gradients_are_those_of_grouped_convolutions(
    sizes, groups, stride, dilation
):
    x = torch.randn(2, 64, 9, 11, dtype=torch.double, requires_grad=True)
    weights = [torch.randn(16, 64 // g, k, k, dtype=torch.double) for k, g in zip(sizes, groups)]
    tensors = [x, *(w.requires_grad_() for w in weights)]
    expected = torch.stack(
        [
            F.conv2d(x, w, None, stride, dilation * (w.shape[-1] // 2), dilation, g)
            for w, g in zip(weights, groups)
        ],
        dim=1,
    )
    actual = library_convs(x, weights, groups, stride, dilation)
    torch.testing.assert_close(actual, expected)
    grad = torch.randn_like(actual)
    for ours, theirs in zip(*(torch.autograd.grad(y, tensors, grad) for y in (actual, expected))):
        torch.testing.assert_close(ours, theirs)


def test_alike_branches_are_one_convolution(monkeypatch):
    calls, conv2d = [], F.conv2d
    monkeypatch.setattr(F, 'conv2d', lambda *a: calls.append(1) or conv2d(*a))
    weights = [torch.randn(16, 4, k, k) for k in (7, 5, 5, 3)]
    library_convs(torch.randn(2, 64, 9, 11), weights, (16,) * 4, 1, 1)
    assert len(calls) == 3
