"""Blocks start as identities; StagePluginResNet adds layers after stages, which belong to them."""

import pytest
import torch
from mmdet.models.backbones import ResNet
from torch.nn import GroupNorm
from torch.nn.modules.batchnorm import _BatchNorm

from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.models import (
    AFFResNeXt,
    CaffePoolResNeXt,
    PluginResNet,
    StagePluginResNet,
)
from epsanet_mmdet.utils.flops import count_parameters

BAM = dict(cfg=dict(type='BAM2d'), stages=(True, True, True, False))


def test_bam50_has_the_published_parameters():
    model = StagePluginResNet(50, stage_plugins=[BAM])
    total = count_parameters(model, trainable_only=False) + 2049 * 1000
    assert f'{total / 1e6:.2f}' == '25.92'


def test_plugin_follows_the_last_block():
    model = StagePluginResNet(50, stage_plugins=[BAM], base_channels=16).eval()
    plain = ResNet(50, base_channels=16)
    plain.load_state_dict(model.state_dict(), strict=False)
    plain.eval()  # returns nothing
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.layer1.bam2d(plain(x)[0])
        torch.testing.assert_close(model(x)[0], expected)


def test_plugins_normalise_as_the_backbone_unless_told_otherwise():
    group, layer = dict(type='GN', num_groups=1), dict(type='GN', num_groups=1, eps=0.5)
    plugins = [BAM, dict(cfg=dict(type='MSCAM2d', norm_cfg=layer), stages=(True,) * 4)]
    model = StagePluginResNet(50, stage_plugins=plugins, base_channels=16, norm_cfg=group)
    assert not any(isinstance(m, _BatchNorm) for m in model.modules())
    epsilons = {
        name: {m.eps for m in module.modules() if isinstance(m, GroupNorm)}
        for name, module in model.layer1.named_children()
    }
    assert epsilons['bam2d'] == epsilons['0'] == {1e-5}
    assert epsilons['mscam2d'] == {0.5}


def test_plugins_of_mmcv_stay_as_they_are():
    plugin = dict(cfg=dict(type='ContextBlock', ratio=0.25), stages=(True,) * 4)
    model = StagePluginResNet(50, stage_plugins=[plugin], base_channels=16)
    assert model.layer1.context_block(torch.randn(1, 64, 4, 4)).shape == (1, 64, 4, 4)


def test_frozen_stage_freezes_its_plugin():
    model = StagePluginResNet(50, stage_plugins=[BAM], base_channels=16, frozen_stages=1)
    assert not any(p.requires_grad for p in model.layer1.bam2d.parameters())
    assert all(p.requires_grad for p in model.layer2.bam2d.parameters())


@pytest.mark.parametrize(
    'plugin',
    [
        dict(cfg=dict(type='BAM2d'), stages=(True, True)),
        dict(cfg=dict(type='BAM2d')),
        dict(**BAM, position='after_conv3'),
    ],
)
def test_refuses_other_plugins(plugin):
    with pytest.raises(ValueError, match='cfg and 4 stages for each plugin, and no position'):
        StagePluginResNet(50, stage_plugins=[plugin])


def test_layers_of_one_type_need_different_names():
    first = dict(cfg=dict(type='SELayer2d'), stages=(True,) * 4)
    second = dict(cfg=dict(type='SELayer2d', postfix='_b'), stages=(True,) * 4)
    model = StagePluginResNet(50, stage_plugins=[first, second], base_channels=16)
    assert [name for name, _ in model.layer2.named_children()][-2:] == [
        'se_layer2d',
        'se_layer2d_b',
    ]
    with pytest.raises(ArgumentError, match='there is a se_layer2d already; add a postfix'):
        StagePluginResNet(50, stage_plugins=[first, first], base_channels=16)


@pytest.mark.parametrize('zero', [True, False])
@pytest.mark.parametrize(
    'network, depth',
    [(PluginResNet, 18), (PluginResNet, 50), (CaffePoolResNeXt, 50), (AFFResNeXt, 50)],
)
def test_blocks_start_as_identities_unless_told_otherwise(network, depth, zero, tmp_path):
    absent = dict(type='PretrainedIfPresent', checkpoint=str(tmp_path / 'absent.pth'))
    for init_cfg in (None, absent):
        options = dict(base_channels=16, zero_init_residual=zero, init_cfg=init_cfg)
        model = network(depth=depth, **options)
        model.init_weights()
        last_norm = 'bn2' if depth == 18 else 'bn3'
        for stage in (model.layer1, model.layer4):
            assert all((getattr(block, last_norm).weight == 0).all() == zero for block in stage)


def test_refuses_an_unknown_position():
    plugins = [dict(cfg=dict(type='SELayer2d'), position='after_conv4')]
    with pytest.raises(ValueError, match="no plugin position='after_conv4'"):
        StagePluginResNet(50, stage_plugins=[BAM], plugins=plugins)
