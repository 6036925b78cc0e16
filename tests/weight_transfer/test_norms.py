"""Norms predict moments, and take other statistics without changing the network's function."""

import pytest
import torch
from small_teacher import scenes, teacher
from torch import nn

from epsanet_mmdet.weight_transfer.images import batches
from epsanet_mmdet.weight_transfer.norms import (
    channel_energy,
    reestimate_norms,
    relu_moments,
    set_statistics,
    weighted_energy,
)


@torch.no_grad()
def test_moments_are_those_of_a_rectified_gaussian():
    norm = nn.BatchNorm2d(5)
    norm.weight.copy_(torch.tensor([1.0, -0.5, 2.0, 0.3, 1e-9]))
    norm.bias.copy_(torch.tensor([0.0, 1.0, -2.0, -0.5, 0.7]))
    draws = torch.randn(400_000, 5, dtype=torch.float64) * norm.weight + norm.bias
    mean, variance, active = relu_moments(norm)
    torch.testing.assert_close(mean, draws.relu().mean(0), rtol=0.01, atol=2e-3)
    torch.testing.assert_close(variance, draws.relu().var(0), rtol=0.02, atol=2e-3)
    torch.testing.assert_close(active, (draws > 0).double().mean(0), rtol=0, atol=3e-3)


def test_the_energy_of_a_1x1_filter_is_exact():
    weight = torch.zeros(2, 3, 3, 3)
    weight[:, :, 1, 1] = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]])
    variance = torch.tensor([1.0, 4.0, 0.25])
    expected = weight[:, :, 1, 1].double() ** 2 * variance
    torch.testing.assert_close(channel_energy(weight, variance), expected)


@pytest.mark.parametrize('dead', ['norm2', 'conv3'])
@torch.no_grad()
def test_an_output_without_effect_has_little_weight(dead):
    norm2, conv3, norm3 = nn.BatchNorm2d(4), nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8)
    if dead == 'norm2':
        norm2.weight[0] = 0
    else:
        conv3.weight[:, 0] = 0
    energy = torch.rand(4, 6, dtype=torch.double)
    energy[3] = 0
    importance = weighted_energy(energy, norm2, conv3, norm3).sum(1)
    assert (importance[1:3] > 100 * importance[0]).all() and importance[3] == 0
    norm3.weight.zero_()  # as zero_init_residual leaves it
    even = weighted_energy(energy, norm2, conv3, norm3).sum(1)
    torch.testing.assert_close(even, torch.tensor([1.0, 1, 1, 0], dtype=torch.double))


@torch.no_grad()
def test_other_statistics_do_not_change_the_function():
    norm = nn.BatchNorm2d(8).eval()
    for value in (norm.weight, norm.bias, norm.running_mean):
        value.normal_()
    x = torch.randn(4, 8, 5, 5)
    before = norm(x)
    set_statistics(norm, torch.randn(8).double(), torch.rand(8).double())
    torch.testing.assert_close(norm(x), before, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_reestimation_preserves_eval_mode_and_makes_train_mode_agree():
    model = teacher()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean += 0.3 * torch.randn_like(norm.running_mean)
        norm.running_var *= 2
        norm.momentum = 0.0
    pictures = scenes(16, seed=5)
    (images,) = batches(pictures)
    before = model(images)
    reestimate_norms(model, batches(pictures, batch_size=5))
    after = model(images)
    model.train()
    for module in model.modules():
        module.training = True
    in_training = model(images)
    for old, new, trained in zip(before, after, in_training):
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(trained, old, rtol=1e-2, atol=1e-2)


@torch.no_grad()
def test_reestimated_statistics_are_those_of_the_images():
    model, pictures = teacher(), scenes(16, seed=5)
    model.norm1.running_mean += 1
    (images,) = batches(pictures)
    x = model.conv1(images)
    reestimate_norms(model, batches(pictures, batch_size=5))
    torch.testing.assert_close(model.norm1.running_mean, x.mean((0, 2, 3)), rtol=1e-4, atol=1e-4)
    variance = x.var((0, 2, 3), correction=0)
    torch.testing.assert_close(model.norm1.running_var, variance, rtol=1e-3, atol=1e-4)
