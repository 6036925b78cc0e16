"""Batch norms as scales and shifts of channels, against torch's own in double precision."""

import copy
from functools import partial

import pytest
import torch
from closeness import assert_close
from torch import nn

from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.ops.cpu import kernels
from epsanet_mmdet.ops.cpu.affine import affine
from epsanet_mmdet.ops.cpu.channel_norm import ChannelNorm, NormedMap
from epsanet_mmdet.ops.parts import squeeze_of

close = partial(assert_close, floor=1)
pytestmark = pytest.mark.skipif(not kernels.instruction_sets(), reason='kernels not built')


def batch_norm(training, channels=32, **options):
    norm = nn.BatchNorm2d(channels, **options).train(training)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


@pytest.mark.parametrize('momentum', [0.1, 0.7, None])
@pytest.mark.parametrize('training', [False, True])
def test_it_is_torch_s_batch_norm(training, momentum):
    ours, x = batch_norm(training, momentum=momentum), torch.randn(3, 32, 5, 7) * 2 + 4
    theirs = copy.deepcopy(ours).double()
    for _ in range(2):
        normed = NormedMap(x, ChannelNorm(ours))
        expected = theirs(x.double())
    close(affine(x, normed.scale, normed.shift, relu=False), expected)
    for name, buffer in theirs.named_buffers():
        close(getattr(ours, name), buffer.double())


@pytest.mark.parametrize('with_attention', [False, True])
@pytest.mark.parametrize('training', [False, True])
def test_gradients_are_autograd_s(training, with_attention):
    psa = PSAModule(32, 32, groups=(1, 2, 4, 4), reduction=2) if with_attention else None
    norm = batch_norm(training)
    norm = ChannelNorm(norm, squeeze_of(psa, 8), psa.branches) if psa else ChannelNorm(norm)
    x, grad = torch.randn(3, 32, 5, 7) + 1, torch.randn(3, 32, 5, 7)
    normed = NormedMap(x, norm)
    grad_x, _, of_parameters = normed.backward(x, grad, norm.parameters)

    doubles = [t.detach().double().requires_grad_() for t in (x, *norm.parameters)]
    norm.norm.double()
    expected = torch.autograd.grad(norm.plain(*doubles).relu(), doubles, grad.double())
    for ours, theirs in zip((grad_x, *of_parameters), expected, strict=True):
        assert ours.shape == theirs.shape
        close(ours, theirs)


@pytest.mark.parametrize('training', [False, True])
def test_the_attention_is_psa_s(training):
    psa = PSAModule(32, 32, groups=(1, 2, 4, 4), reduction=2)
    norm, x = batch_norm(training), torch.randn(2, 32, 6, 6)
    features = torch.stack([conv(x) for conv in psa.convs], dim=1)
    expected = copy.deepcopy(norm)(psa(x)).double()
    channel_norm = ChannelNorm(norm, squeeze_of(psa, 8), psa.branches)
    close(channel_norm.plain(features.flatten(1, 2), *channel_norm.parameters), expected)
    normed = NormedMap(features.flatten(1, 2).contiguous(), channel_norm)
    close(affine(features.flatten(1, 2), normed.scale, normed.shift, relu=False), expected)
