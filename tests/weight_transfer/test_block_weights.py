"""An EPSANet block computes what the ResNet block does, as far as its groups allow."""

import numpy as np
import pytest
import torch
from small_teacher import epsanet, scenes, teacher
from torch import nn

from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.weight_transfer import transplant
from epsanet_mmdet.weight_transfer.block_weights import (
    correct_mean,
    reset_attention,
    write_random,
    write_sliced,
)
from epsanet_mmdet.weight_transfer.images import batches
from epsanet_mmdet.weight_transfer.norms import Moments
from epsanet_mmdet.weight_transfer.permutation import Permutation, branches_of

# By type of attention, its inverse where the branches score equally.
INVERSES = {'softmax': 4, 'sigmoid': 2, 'none': 1}


def shuffled(channels, width, seed=0):
    random = np.random.default_rng(seed)
    order = np.arange(width) % channels
    return Permutation(random.permutation(order), random.permutation(order))


def mask_of(psa, order):
    """Return 1 where an output (row) of the teacher sees an input (column), else 0."""
    channels = order.outputs.max() + 1
    mask = torch.zeros(channels, channels)
    for branch in branches_of(psa):
        inputs = order.inputs.reshape(branch.groups, -1)
        outputs = order.outputs[branch.start : branch.stop].reshape(branch.groups, -1)
        for rows, columns in zip(outputs, inputs):
            mask[np.ix_(rows, columns)] = 1
    return mask


@torch.no_grad()
@pytest.mark.parametrize('stride', [1, 2])
def test_a_block_diagonal_convolution_is_reproduced_exactly(stride):
    psa = PSAModule(32, 32, groups=(1, 2, 4, 8), stride=stride, reduction=4)
    order = shuffled(32, 32)
    conv = nn.Conv2d(32, 32, 3, stride=stride, padding=1, bias=False)
    conv.weight *= mask_of(psa, order)[:, :, None, None]
    write_sliced(psa, conv.weight, order)
    x = torch.randn(2, 32, 11, 9)
    expected = conv(x)[:, order.outputs]
    torch.testing.assert_close(psa(x[:, order.inputs]), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_double_width_without_groups_computes_the_same():
    theirs, ours = teacher(), epsanet('large', groups=(1, 1, 1, 1), kernel_sizes=(3, 5, 5, 7))
    transplant(theirs, ours, 'slice')
    for images in batches(scenes(2)):
        for mine, expected in zip(ours(images), theirs(images)):
            torch.testing.assert_close(mine, expected, rtol=1e-3, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize('attention_type, inverse', INVERSES.items())
def test_attention_is_uniform_for_any_input(attention_type, inverse):
    psa = PSAModule(32, 32, groups=(1, 2, 4, 8), reduction=4, attention_type=attention_type)
    assert reset_attention(psa) == inverse
    for x in (torch.randn(2, 32, 5, 5), 100 * torch.rand(2, 32, 5, 5)):
        features = torch.cat([getattr(psa, f'conv_{i}')(x) for i in (4, 3, 2, 1)], 1)
        torch.testing.assert_close(psa(x), features / inverse)


def test_attention_still_learns():
    psa = PSAModule(32, 32, groups=(1, 2, 4, 8), reduction=4)
    reset_attention(psa)
    optimizer = torch.optim.SGD(psa.parameters(), lr=1.0)
    x, y = torch.rand(4, 32, 6, 6), torch.randn(4, 32, 6, 6)
    seen = []
    for _ in range(2):
        optimizer.zero_grad()
        ((psa(x) - y) ** 2).sum().backward()
        seen.append([psa.se.fc1.weight.grad.abs().sum(), psa.se.fc2.weight.grad.abs().sum()])
        optimizer.step()
    assert seen[0][1] > 0
    assert seen[1][0] > 0 and seen[1][1] > 0


@torch.no_grad()
@pytest.mark.parametrize('attention_type', INVERSES)
def test_the_mean_of_unseen_inputs_is_compensated(attention_type):
    psa = PSAModule(32, 32, groups=(1, 2, 4, 8), reduction=4, attention_type=attention_type)
    conv, norm = nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32).eval()
    order, mean = shuffled(32, 32), torch.rand(32)
    write_sliced(psa, conv.weight, order)
    expected = norm(conv(mean[None, :, None, None].expand(1, 32, 15, 15)))[:, order.outputs]
    correct_mean(psa, norm, conv.weight, order, Moments(mean, mean, mean))
    ours = norm(psa(mean[order.inputs][None, :, None, None].expand(1, 32, 15, 15)))
    inside = slice(4, -4)  # where no kernel reaches over the edge
    torch.testing.assert_close(ours[..., inside, inside], expected[..., inside, inside])


@torch.no_grad()
def test_random_filters_have_the_norms_of_the_teachers():
    psa = PSAModule(32, 32, groups=(1, 2, 4, 8), reduction=4)
    weight, order = torch.randn(32, 32, 3, 3), shuffled(32, 32)
    write_random(psa, weight, order, torch.Generator())
    lengths = weight.flatten(1).norm(dim=1)[order.outputs]
    found = [getattr(psa, f'conv_{i}').weight.flatten(1).norm(dim=1) for i in (4, 3, 2, 1)]
    torch.testing.assert_close(torch.cat(found) / 4, lengths)
