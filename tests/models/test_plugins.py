"""Every attention layer works as a plugin of mmdet, and PSA in place of 3x3 convolutions."""

import os
import pickle
import subprocess
import sys

import mmdet.models  # noqa: F401  registers mmdet's own
import pytest
import torch
from conftest import ROOT
from mmcv.cnn import ConvModule, build_conv_layer, build_plugin_layer, is_norm
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.registry import MODELS, DefaultScope

from epsanet_mmdet.layers import PooledBatchNorm2d
from epsanet_mmdet.models.plugins import PLUGIN_LAYERS, PSAConv2d
from epsanet_mmdet.utils.flops import count_parameters

NAMES = [layer.__name__ for layer in PLUGIN_LAYERS]
EVERY_STAGE = (True, True, True, True)
RESNET50 = 23508032
CLASSIFIER = 2049 * 1000


def backbone(type='ResNet', **kwargs):
    return MMDET_MODELS.build(dict(type=type, depth=50, **kwargs))


def with_plugin(cfg, type='ResNet', position='after_conv3', stages=EVERY_STAGE, **kwargs):
    plugins = [dict(cfg=cfg, stages=stages, position=position)]
    return backbone(type, plugins=plugins, **kwargs)


def psa(type='ResNet', stages=EVERY_STAGE, **kwargs):
    dcn = dict(type='PSAConv2d', **kwargs.pop('psa', {}))
    return backbone(type, dcn=dcn, stage_with_dcn=stages, **kwargs)


@torch.no_grad()
def evaluate(model, x):
    model.eval()  # mmdet's ResNet returns nothing
    return model(x)


def all_parameters(model):
    return count_parameters(model, trainable_only=False)


@pytest.mark.parametrize('name', [*NAMES, 'PSAConv2d'])
def test_name_is_ours_alone(name):
    assert MODELS.module_dict[name].__module__ == 'epsanet_mmdet.models.plugins'
    assert name not in MMDET_MODELS.module_dict


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('scope', [None, 'mmdet'])
def test_builds_as_mmcv_builds_plugins(name, scope, monkeypatch):
    if scope is not None:
        instance = DefaultScope.get_instance(f'test-{name}', scope_name=scope)
        monkeypatch.setattr(DefaultScope, 'get_current_instance', lambda: instance)
    abbreviation, layer = build_plugin_layer(dict(type=name), in_channels=256, postfix=1)
    assert abbreviation.endswith('1') and abbreviation == abbreviation.lower()
    x = torch.randn(2, 256, 4, 4)
    assert layer(x).shape == x.shape


def test_abbreviations_differ():
    built = [build_plugin_layer(dict(type=name), in_channels=256)[0] for name in NAMES]
    assert len(set(built)) == len(built)


@pytest.mark.parametrize('name', NAMES)
def test_pickles(name):
    layer = build_plugin_layer(dict(type=name), in_channels=256)[1]
    assert type(pickle.loads(pickle.dumps(layer))) is type(layer)


FAMILY = dict(ResNet={}, ResNeXt=dict(groups=32), ResNeSt={}, Res2Net={}, EPSANet={}, AFFResNet={})


POSITIONS = [
    (type, position)
    for type in FAMILY
    for position in ('after_conv1', 'after_conv2', 'after_conv3')
    # mmdet sizes the plugins inside a Res2Net block for ResNet.
    if type != 'Res2Net' or position == 'after_conv3'
]


@pytest.mark.parametrize('type, position', POSITIONS)
def test_fits_backbones_of_the_resnet_family(type, position):
    stages = (False, False, False, True)
    model = with_plugin(dict(type='SELayer2d'), type, position, stages, **FAMILY[type])
    assert sum('se_layer2d' in key for key in model.state_dict()) == 2 * 3
    assert evaluate(model, torch.randn(1, 3, 32, 32))[3].shape == (1, 2048, 1, 1)


# Parameters that each adds to ResNet-50 after every block's third convolution.
ADDED = dict(
    SELayer2d=2_514_944,
    FcaLayer2d=2_514_944,
    ECALayer2d=86,
    SoftChannelAttention2d=2_530_992,
    CBAM2d=2_532_560,
    CoordAttention2d=1_917_832,
    DynamicMultiKernelECA2d=271_920,
    BidirectionalECA2d=1_260_432,
)


@pytest.mark.parametrize('name', ADDED)
def test_parameters_added_to_resnet50(name):
    assert all_parameters(with_plugin(dict(type=name))) - RESNET50 == ADDED[name]


def test_cbam_resnet50_has_the_parameters_of_its_paper():
    total = all_parameters(with_plugin(dict(type='CBAM2d'))) + CLASSIFIER
    assert f'{total / 1e6:.2f}' == '28.09'


NORMALISED = ['CBAM2d', 'BAM2d', 'CoordAttention2d', 'DualAttention2d', 'MSCAM2d']
GN = dict(type='GN', num_groups=1)


def normalisations(layer):
    return {type(m) for m in layer.modules() if is_norm(m)}


def options_of(name):
    return dict(as_coded=True) if name == 'CBAM2d' else {}


@pytest.mark.parametrize('name', NORMALISED)
def test_normalises_by_norm_cfg(name):
    cfg = dict(type=name, norm_cfg=GN, **options_of(name))
    layer = build_plugin_layer(cfg, in_channels=256)[1]
    assert normalisations(layer) == {torch.nn.GroupNorm}
    x = torch.randn(2, 256, 4, 4)
    assert layer(x).shape == x.shape


@pytest.mark.parametrize('name', NORMALISED)
def test_batch_norm_of_norm_cfg_is_the_default_one(name):
    """It must take a single pooled value, and stay frozen where norm_cfg says so."""
    cfg = dict(type=name, norm_cfg=dict(type='BN', requires_grad=False), **options_of(name))
    layer = build_plugin_layer(cfg, in_channels=256)[1].train()
    assert normalisations(layer) == {PooledBatchNorm2d}
    assert not any(p.requires_grad for m in layer.modules() if is_norm(m) for p in m.parameters())
    default = build_plugin_layer(dict(type=name, **options_of(name)), in_channels=256)[1]
    assert layer.state_dict().keys() == default.state_dict().keys()
    layer(torch.randn(1, 256, 4, 4))


@pytest.mark.parametrize('type', ['EPSANet', 'AFFResNet', 'StagePluginResNet', 'CaffePoolResNet'])
def test_plugins_of_our_backbones_normalise_as_the_backbone(type):
    plugins = [
        dict(cfg=dict(type='MSCAM2d', postfix=1), position='after_conv3'),
        dict(cfg=dict(type='MSCAM2d', postfix=2, norm_cfg=dict(type='BN')), position='after_conv3'),
        dict(cfg=dict(type='NonLocal2d'), position='after_conv2'),  # mmcv's stay as they are
    ]
    options = dict(stage_plugins=[]) if type == 'StagePluginResNet' else {}
    options.update(groups=(1, 2, 4, 4)) if type == 'EPSANet' else None
    model = backbone(type, base_channels=16, norm_cfg=GN, plugins=plugins, **options)
    block = model.layer1[0]
    assert normalisations(block.mscam2d1) == {torch.nn.GroupNorm}
    assert normalisations(block.mscam2d2) == {PooledBatchNorm2d}


def test_groups_that_do_not_divide_the_channels_are_named():
    cfg = dict(type='BAM2d', norm_cfg=dict(type='GN', num_groups=32))
    with pytest.raises(ValueError, match='does not fit a layer of 16 channels; set a norm_cfg'):
        build_plugin_layer(cfg, in_channels=256)


def test_layers_that_do_not_normalise_take_no_norm_cfg():
    with pytest.raises(TypeError, match='norm'):
        build_plugin_layer(dict(type='SELayer2d', norm_cfg=GN), in_channels=256)


def test_each_stage_has_options_of_its_own():
    """The kernel sizes of ECANet's released k3557."""
    plugins = [
        dict(
            cfg=dict(type='ECALayer2d', kernel_size=size),
            stages=tuple(k == size for k in (3, 5, 5, 7)),
            position='after_conv3',
        )
        for size in (3, 5, 7)
    ]
    model = backbone(plugins=plugins)
    sizes = [
        {block.eca_layer2d.conv.kernel_size[0] for block in getattr(model, f'layer{i}')}
        for i in (1, 2, 3, 4)
    ]
    assert sizes == [{3}, {5}, {5}, {7}]


def test_psa_in_resnet50_is_epsanet50_small():
    ours, epsanet = psa(), backbone('EPSANet')
    ours.load_state_dict(epsanet.state_dict())
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(evaluate(ours, x), evaluate(epsanet, x))


def test_psa_in_resnext50_is_epsanet50_large():
    ours = psa('ResNeXt', groups=32, base_width=4, psa=dict(kernel_sizes=(3, 5, 5, 7)))
    epsanet = backbone('EPSANet', arch='large')
    ours.load_state_dict(epsanet.state_dict())
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(evaluate(ours, x), evaluate(epsanet, x))


def test_psa_fits_its_groups_to_res2nets_narrow_convolutions():
    model = psa('Res2Net', (False, True, True, True))
    groups = [
        [conv.groups for conv in layer[0].convs[0].children() if hasattr(conv, 'groups')]
        for layer in (model.layer2, model.layer3, model.layer4)
    ]
    assert groups == [[1, 1, 1, 1], [1, 2, 2, 2], [1, 4, 4, 4]]
    assert evaluate(model, torch.randn(1, 3, 64, 64))[3].shape == (1, 2048, 2, 2)


def test_psa_stands_in_a_conv_module():
    module = ConvModule(
        64, 64, 3, padding=1, conv_cfg=dict(type='PSAConv2d'), norm_cfg=dict(type='BN')
    )
    assert isinstance(module.conv, PSAConv2d)
    assert module(torch.randn(2, 64, 5, 5)).shape == (2, 64, 5, 5)


@pytest.mark.parametrize('stride, dilation', [(2, 1), (1, 2)])
def test_psa_honours_stride_and_dilation(stride, dilation):
    conv = PSAConv2d(64, 64, stride=stride, padding=dilation, dilation=dilation)
    reference = torch.nn.Conv2d(64, 64, 3, stride=stride, padding=dilation, dilation=dilation)
    x = torch.randn(1, 64, 9, 7)
    assert conv(x).shape == reference(x).shape
    assert all(c.dilation == (dilation, dilation) for c in (conv.conv_1, conv.conv_4))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(kernel_size=1, padding=0), 'got kernel_size=1.*through dcn and stage_with_dcn'),
        (dict(kernel_size=3, padding=0), 'keep the map size.*padding=0'),
        (dict(kernel_size=3, padding=1, bias=True), 'has no bias'),
        (dict(kernel_size=3, padding=1, groups=3), 'cannot use groups=3'),
        (dict(kernel_size=3, padding=1, branch_groups=(1, 2)), 'one group count per kernel size'),
        (dict(kernel_size=3, padding=1, kernel_sizes=()), r'kernel_sizes=\(\)'),
    ],
)
def test_psa_refuses_what_it_cannot_stand_for(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_conv_layer(dict(type='PSAConv2d'), 64, 64, **arguments)


def test_psa_as_conv_cfg_of_a_backbone_points_to_dcn():
    with pytest.raises(ValueError, match='through dcn and stage_with_dcn'):
        ResNet(50, conv_cfg=dict(type='PSAConv2d'))


def test_res2nets_first_stage_is_refused_with_its_width():
    with pytest.raises(ValueError, match='out_channels=26 must be divisible by 4'):
        psa('Res2Net')


@pytest.mark.parametrize('name', [*NAMES, 'PSAConv2d'])
def test_stands_in_the_table_of_the_docs(name):
    rows = (ROOT / 'docs' / 'modules.md').read_text().splitlines()
    (row, *_) = [row for row in rows if row.startswith(f'| `{name}` |')]
    if name in ADDED:
        assert f' {ADDED[name]:,} |' in row


def test_layers_need_only_torch():
    # In a process that finds nothing of the mm* stack.
    code = """
import importlib.metadata as metadata, sys
sys.modules.update(dict.fromkeys(['mmengine', 'mmcv', 'mmdet']))
version = metadata.version

def without_mm(name):
    if 'mm' in name:
        raise metadata.PackageNotFoundError(name)
    return version(name)

metadata.version = without_mm
from epsanet_mmdet import layers
layers.CBAM2d(64)
"""
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONWARNINGS'}
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert 'only epsanet_mmdet.layers can be used' in done.stderr
