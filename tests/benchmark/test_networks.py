"""Networks are built by name: backbones, detectors, and options that apply to copies."""

import shutil

import pytest
import torch

from epsanet_mmdet.benchmark import PublishedPSA, build_network, networks
from epsanet_mmdet.benchmark.networks import _check_capturable, find_peer
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.utils.flops import count_parameters

CPU, GPU = torch.device('cpu'), torch.device('cuda', 0)
SMALL = 'mask-rcnn_epsanet50-s_fpn_1x_coco'


@pytest.mark.parametrize(
    'name, millions',
    [  # published, with the classifier's 2.05 M that these are without
        ('resnet50', 25.56),
        ('resnext50-32x4d', 25.03),
        ('resnest50', 27.48),
        ('epsanet50-s', 22.56),
        ('epsanet50-l', 27.90),
    ],
)
def test_backbones_by_name_have_the_published_size(name, millions):
    module = build_network(name, CPU).module
    assert count_parameters(module) / 1e6 + 2.049 == pytest.approx(millions, abs=0.006)


def test_options_apply_to_copies():
    network = build_network('epsanet50-s+published+channels-last', CPU)
    assert isinstance(network.module.layer1[0].conv2, PublishedPSA)
    assert not isinstance(network.plain.layer1[0].conv2, PublishedPSA)
    assert network.module.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert network.options == ('published', 'channels-last')


def test_a_config_stands_for_its_detector_or_its_backbone():
    assert build_network(SMALL, CPU).is_detector
    assert not build_network(f'{SMALL}:backbone', CPU).is_detector


@pytest.mark.parametrize(
    'name, peer',
    [
        ('resnet50', 'resnet50'),
        ('epsanet50-s+library', 'resnet50'),
        ('epsanet50-s+compile', 'resnet50+compile'),
        ('epsanet50-s+deploy+compile', 'resnet50+compile'),
        ('epsanet50-s+compile+channels-last', 'resnet50+channels-last+compile'),
        ('resnet50+compile', 'resnet50+compile'),
        ('epsanet50-s+cudagraph', None),
    ],
)
def test_a_peer_is_the_equally_treated_baseline(name, peer):
    others = ['epsanet50-s+channels-last', 'resnet50+compile', 'resnet50+channels-last+compile']
    assert find_peer(name, ['resnet50', *others]) == peer


def test_a_peer_has_the_other_options_of_the_baseline():
    names = ['epsanet50-s+library', 'epsanet50-s+compile', 'epsanet50-s+compile+library']
    assert find_peer('epsanet50-l+compile', names) == 'epsanet50-s+compile+library'


def test_detectors_cannot_be_captured():
    with pytest.raises(ConfigError, match=':backbone.cudagraph'):
        _check_capturable(f'{SMALL}+cudagraph', build_network(SMALL, CPU).module, GPU)


class Doubled(torch.nn.Module):
    def forward(self, x):
        return 2 * x


class NormedConv(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x))


def test_every_input_size_is_compiled(monkeypatch):
    """By default, torch.compile runs what exceeds eight programs of a class uncompiled."""
    compiled = []

    def backend(program, inputs):
        compiled.append(inputs)
        return program.forward

    compile_ = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module,
        'compile',
        lambda module, dynamic, options: compile_(module, dynamic=dynamic, backend=backend),
    )
    monkeypatch.setattr(networks, '_build', lambda base: Doubled())
    with torch._dynamo.config.patch(recompile_limit=8, fail_on_recompile_limit_hit=False):
        network = build_network('resnet50+compile', CPU).module
        for size in range(2, 12):
            network(torch.zeros(size))
    assert len(compiled) == 10


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('g++'), reason='torch.compile needs a C++ compiler')
def test_compiled_networks_train_after_their_weights_were_frozen_in_inference(monkeypatch):
    plain = NormedConv()
    monkeypatch.setattr(networks, '_build', lambda base: plain)
    compiled = build_network('resnet50+compile', CPU).module
    x = torch.randn(2, 3, 8, 8)
    torch._dynamo.utils.counters.clear()
    with torch.no_grad():
        torch.testing.assert_close(compiled.eval()(x), plain.eval()(x))
    for network in (plain, compiled):
        network.train()(x).square().sum().backward()
    for mine, theirs in zip(compiled.parameters(), plain.parameters()):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(compiled.norm.running_var, plain.norm.running_var)
    frames = torch._dynamo.utils.counters['frames']
    assert frames['ok'] == frames['total'] >= 2
