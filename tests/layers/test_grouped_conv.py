"""Merging groups changes how a convolution is computed, and nothing else."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.layers.grouped_conv import GroupedConv2d, merge_groups, split_groups


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


def test_narrow_groups_are_merged_with_equal_outputs_and_gradients(monkeypatch):
    ours = GroupedConv2d(64, 16, 7, stride=2, padding=3, groups=8).double()
    plain = nn.Conv2d(64, 16, 7, stride=2, padding=3, groups=8).double()
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(2, 64, 9, 7, dtype=torch.float64)
    used = []
    conv2d = F.conv2d
    monkeypatch.setattr(F, 'conv2d', lambda *args: used.append(args[-1]) or conv2d(*args))
    outputs = [layer(x) for layer in (ours, plain)]
    assert used == [4, 8]
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)
    torch.testing.assert_close(ours.bias.grad, plain.bias.grad)


def test_psa_uses_it():
    branches = [getattr(PSAModule(64, 64), f'conv_{i}') for i in range(1, 5)]
    assert all(isinstance(branch, GroupedConv2d) for branch in branches)
