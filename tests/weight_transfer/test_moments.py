"""Moments after a ReLU, from a batch norm alone."""

import pytest
import torch
from torch import nn

from epsanet_mmdet.weight_transfer.moments import (
    channel_energy,
    output_importance,
    relative_energy,
    relu_moments,
)


@torch.no_grad()
def test_they_are_those_of_a_rectified_gaussian():
    norm = nn.BatchNorm2d(5)
    norm.weight.copy_(torch.tensor([1.0, -0.5, 2.0, 0.3, 1e-9]))
    norm.bias.copy_(torch.tensor([0.0, 1.0, -2.0, -0.5, 0.7]))
    draws = torch.randn(400_000, 5, dtype=torch.float64) * norm.weight + norm.bias
    mean, variance, active = relu_moments(norm)
    torch.testing.assert_close(mean, draws.relu().mean(0), rtol=0.01, atol=2e-3)
    torch.testing.assert_close(variance, draws.relu().var(0), rtol=0.02, atol=2e-3)
    torch.testing.assert_close(active, (draws > 0).double().mean(0), rtol=0, atol=3e-3)


def test_the_energy_of_one_tap_is_exact():
    weight = torch.zeros(2, 3, 3, 3)
    weight[:, :, 1, 1] = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]])
    variance = torch.tensor([1.0, 4.0, 0.25])
    expected = weight[:, :, 1, 1].double() ** 2 * variance
    torch.testing.assert_close(channel_energy(weight, variance), expected)


def test_relative_energies_sum_to_one_or_are_nothing():
    energy = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    assert relative_energy(energy).sum(1).tolist() == [1, 0]


@pytest.mark.parametrize('dead', ['norm2', 'conv3'])
@torch.no_grad()
def test_an_output_that_reaches_nothing_matters_little(dead):
    norm2, conv3, norm3 = nn.BatchNorm2d(4), nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8)
    if dead == 'norm2':
        norm2.weight[0] = 0
    else:
        conv3.weight[:, 0] = 0
    importance = output_importance(norm2, conv3, norm3)
    assert (importance[1:] > 100 * importance[0]).all()
    norm3.weight.zero_()  # as zero_init_residual leaves it
    assert (output_importance(norm2, conv3, norm3) == 1).all()
