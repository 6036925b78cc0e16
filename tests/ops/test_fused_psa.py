"""Pyramid squeeze attention by our implementations: the same function, in less memory and time."""

import copy

import pytest
import torch
from closeness import assert_close
from fusing import counted, plainly
from mmdet.models.backbones import ResNet
from torch import nn

from epsanet_mmdet.benchmark import activation_bytes
from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.models.deployed import deploy
from epsanet_mmdet.models.plugins import PSAConv2d
from epsanet_mmdet.ops.cpu import kernels

SMALL = dict(kernel_sizes=(3, 5, 7, 9), groups=(1, 4, 8, 16))
LARGE = dict(kernel_sizes=(3, 5, 5, 7), groups=(32, 32, 32, 32))
CASES = [pytest.param(64, SMALL, id='small'), pytest.param(128, LARGE, id='large')]


@pytest.fixture(params=[None, *kernels.instruction_sets()[:1]], ids=str)
def instruction_set(request):
    with kernels.use_instruction_set(request.param):
        yield


def results(layer, x):
    layer.zero_grad()
    x = x.detach().requires_grad_()
    out = layer(x)
    weight = torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view_as(out)
    return [out, *torch.autograd.grad((out * weight).sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize('channels, preset', CASES)
def test_output_and_gradients_are_those_of_the_layer(
    channels, preset, stride, dilation, dtype, instruction_set
):
    layer = PSAModule(channels, channels, stride=stride, dilation=dilation, **preset).to(dtype)
    x = torch.randn(2, channels, 11, 23, dtype=dtype)
    with counted() as fused:
        actual = results(layer, x)
        with torch.no_grad():
            evaluated = layer(x)
    assert fused['PSAModule'] == 2
    with plainly():
        expected = results(layer, x)
    assert_close([*actual, evaluated], [*expected, expected[0]], 2e-4, floor=1e-3)


def test_psa_as_a_convolution_and_deployed_psa_are_computed_so_too():
    layer, x = PSAConv2d(64, 64).eval(), torch.randn(2, 64, 9, 7)
    deployed = deploy(nn.Sequential(layer, nn.BatchNorm2d(64)).eval())
    with torch.no_grad():
        with counted() as fused:
            actual = [layer(x), deployed(x)]
        assert fused['PSAModule'] == fused['DeployedPSA'] == 1
        with plainly():
            expected = [layer(x), deployed(x)]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_channels_last_and_no_images(instruction_set):
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 9, 11)
    with plainly():
        expected = layer(x)
    strided = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(strided), expected, rtol=1e-4, atol=1e-5)
    assert layer(x[:0]).shape == (0, 64, 9, 11)
    assert results(layer, x[:0])[1].shape == (0, 64, 9, 11)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_type(dtype):
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 9, 11)
    expected = layer(x)
    with counted() as fused:
        actual = copy.deepcopy(layer).to(dtype)(x.to(dtype))
    assert fused['PSAModule'] == 1 and actual.dtype == dtype
    torch.testing.assert_close(actual.float(), expected, rtol=0.1, atol=0.02)


def test_keeps_one_map_of_its_output_s_size_for_training():
    layer = nn.Sequential(PSAModule(64, 64), nn.BatchNorm2d(64))
    x = torch.randn(2, 64, 32, 32, requires_grad=True)
    # What comes in, and what the norm keeps as well.
    assert activation_bytes(layer, lambda: layer(x)) < 2.1 * x.nbytes
    with plainly():
        assert activation_bytes(layer, lambda: layer(x)) > 2.9 * x.nbytes


def test_epsanet_keeps_no_map_more_for_training_than_resnet():
    image, networks = torch.randn(1, 3, 224, 224), (EPSANet(50), ResNet(50))
    ours, resnet = (activation_bytes(n, lambda n=n: n(image)) for n in networks)
    assert ours < 1.001 * resnet  # the attention's vectors remain


@pytest.mark.parametrize('deployed', [False, True])
@pytest.mark.parametrize('training', [False, True])
def test_a_softmax_in_float32_does_not_widen_the_features(training, deployed, monkeypatch):
    """Under CUDA's autocast, a softmax is computed in float32, whatever it is given."""
    softmax = torch.Tensor.softmax
    monkeypatch.setattr(torch.Tensor, 'softmax', lambda t, dim: softmax(t.float(), dim))
    layer, x = PSAModule(64, 64).bfloat16(), torch.randn(2, 64, 9, 9).bfloat16()
    layer = deploy(layer.eval()) if deployed else layer
    with torch.set_grad_enabled(training), counted() as fused:
        assert layer(x).dtype == torch.bfloat16
    assert fused['DeployedPSA' if deployed else 'PSAModule'] == 1


@pytest.mark.parametrize('attention_type', ['sigmoid', 'none'])
def test_other_attention_than_a_softmax_is_computed_by_the_layer(attention_type, instruction_set):
    layer = PSAModule(64, 64, attention_type=attention_type)
    network = nn.Sequential(layer, nn.BatchNorm2d(64)).eval()
    nn.init.normal_(network[1].running_mean)
    deployed, x = deploy(network), torch.randn(2, 64, 9, 11)
    with counted() as fused:
        actual = results(layer, x)
        with torch.no_grad():
            actual += [layer(x), deployed(x)]
    assert (fused['PSAModule'], fused['DeployedPSA']) == (0, 1)
    with plainly():
        expected = results(layer, x)
        with torch.no_grad():
            expected += [layer(x), network(x)]
    assert_close(actual, expected, 2e-4, floor=1e-3)
    layer.attention_type = 'softmax' if attention_type == 'sigmoid' else 'none'
    with counted() as fused:
        layer(x)
    assert fused['PSAModule'] == (attention_type == 'sigmoid')


class Halved(PSAModule):
    def attention(self, features):
        return torch.full_like(features[..., :1, :1], 0.5)


def _replaced(layer):
    layer.attention = lambda features: torch.full_like(features[..., :1, :1], 0.5)
    return layer


@pytest.mark.parametrize('halve', [lambda: Halved(64, 64), lambda: _replaced(PSAModule(64, 64))])
def test_attention_of_one_s_own_is_used(halve):
    layer, x = halve(), torch.randn(2, 64, 9, 9)
    torch.testing.assert_close(layer(x), layer.features(x).flatten(1, 2) / 2)
