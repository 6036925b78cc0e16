"""Other statistics, the same function."""

import torch
from small_donor import donor, scenes
from torch import nn

from epsanet_mmdet.weight_transfer.batch_norm import reestimate_norms, set_statistics
from epsanet_mmdet.weight_transfer.images import batches


@torch.no_grad()
def test_other_statistics_leave_the_function():
    norm = nn.BatchNorm2d(8).eval()
    for value in (norm.weight, norm.bias, norm.running_mean):
        value.normal_()
    x = torch.randn(4, 8, 5, 5)
    before = norm(x)
    set_statistics(norm, torch.randn(8).double(), torch.rand(8).double())
    torch.testing.assert_close(norm(x), before, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_network_keeps_its_function_and_computes_the_same_in_train_mode():
    model = donor()
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
def test_the_statistics_are_those_of_the_images():
    model, pictures = donor(), scenes(16, seed=5)
    model.norm1.running_mean += 1
    (images,) = batches(pictures)
    x = model.conv1(images)
    reestimate_norms(model, batches(pictures, batch_size=5))
    torch.testing.assert_close(model.norm1.running_mean, x.mean((0, 2, 3)), rtol=1e-4, atol=1e-4)
    variance = x.var((0, 2, 3), correction=0)
    torch.testing.assert_close(model.norm1.running_var, variance, rtol=1e-3, atol=1e-4)
