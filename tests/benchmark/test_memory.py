"""Activation memory and peak memory are those computed by hand."""

import pytest
import torch
from torch import nn

from epsanet_mmdet import benchmark
from epsanet_mmdet.benchmark import activation_bytes, peak_bytes


def test_activation_memory_is_what_the_backward_pass_needs():
    # The convolution keeps its input (once for both), the sigmoid its output.
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sigmoid())
    image = torch.randn(1, 2, 10, 10)
    assert activation_bytes(network, lambda: network(image)) == 4 * 100 * (2 + 3)


def test_frozen_layers_save_nothing():
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sigmoid()).requires_grad_(False)
    assert activation_bytes(network, lambda: network(torch.randn(1, 2, 10, 10))) == 0


def test_peak_memory_is_a_maximum_over_time_and_not_a_sum():
    def two_of_three_at_a_time():
        first = torch.zeros(1000, 1000)
        second = first + 1
        del first
        return second + 1

    peak = peak_bytes(two_of_three_at_a_time, torch.device('cpu'))
    assert abs(peak - 2 * 4e6) < 1e4


def test_the_old_name_of_activation_memory_warns():
    with pytest.warns(DeprecationWarning, match='saved_bytes is now .*activation_bytes'):
        assert benchmark.saved_bytes is activation_bytes
