"""Which way a convolution is computed, by its shape and its input."""

import pytest
import torch

from epsanet_mmdet.layers import cpu_kernels
from epsanet_mmdet.layers.conv_plan import DIRECT, merged_groups, plan_convs

needs_kernel = pytest.mark.skipif(
    cpu_kernels.instruction_set() is None, reason='the kernels were not built'
)


def plan(channels, groups, kernel=9, stride=1, dilation=1, dtype=torch.float32, layout='NCHW'):
    x = torch.empty(1, channels, 4, 4, dtype=dtype)
    if layout == 'NHWC':
        x = x.to(memory_format=torch.channels_last)
    weight = torch.empty(channels // 4, channels // groups, kernel, kernel, dtype=dtype)
    return plan_convs(x, [weight], [groups], stride, dilation)[0]


def test_merges_until_a_group_is_wide_enough_and_no_further():
    x = torch.empty(0)
    assert merged_groups(64, 16, x) == 4  # 16 channels each
    assert merged_groups(256, 16, x) == 16  # wide enough as they are
    assert merged_groups(8, 8, x) == 1
    assert merged_groups(21, 7, x) == 7  # an odd number of groups has no half


@needs_kernel
def test_few_channels_per_group_go_to_the_direct_kernel():
    assert plan(64, 16) == plan(256, 16) == DIRECT
    assert plan(512, 16) == 16  # 32 channels each
    assert plan(64, 1, kernel=3) == 1


@needs_kernel
@pytest.mark.parametrize(
    'other',
    [
        dict(kernel=11),
        dict(stride=2, dilation=2),
        dict(dtype=torch.float64),
        dict(dtype=torch.bfloat16),
        dict(layout='NHWC'),
    ],
)
def test_what_the_kernel_does_not_cover_goes_to_the_library(other):
    assert plan(64, 16) == DIRECT
    assert plan(64, 16, **other) == 4


def test_without_the_kernel_all_goes_to_the_library():
    with cpu_kernels.use_instruction_set(None):
        assert plan(64, 16) == 4
