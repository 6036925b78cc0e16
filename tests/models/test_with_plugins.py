"""Layers go to the places of any model of mmdet that a config names; all else stays mmdet's."""

import copy
import pickle
from functools import partial

import pytest
import torch
from closeness import assert_close
from mmcv.cnn import ConvModule
from mmdet.models.layers import ExpMomentumEMA
from mmdet.registry import MODELS
from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm
from norm_statistics import randomise
from one_line import error_line
from torch import nn

from epsanet_mmdet.checkpoint.match import compare_without_plugins
from epsanet_mmdet.deploy import export_program
from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.explain.recording import recorded
from epsanet_mmdet.models.deployed import deploy
from epsanet_mmdet.models.plugins import PLUGIN_LAYERS, PSAConv2d
from epsanet_mmdet.utils.flops import count_parameters

ECA, SE, PSA = (dict(type=name) for name in ('ECALayer2d', 'SELayer2d', 'PSAConv2d'))
BN = dict(type='BN')
PYRAMID = dict(in_channels=[16, 32, 64], out_channels=32, num_outs=3)
LEVELS = [(1, 16, 16, 16), (1, 32, 8, 8), (1, 64, 4, 4)]
EQUAL_LEVELS = [(1, 32, 16, 16), (1, 32, 8, 8), (1, 32, 4, 4)]
KINDS = ('stage', 'layer')
HEAD = dict(num_classes=3, in_channels=32, feat_channels=32)
POINTS = dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32])

# Options, where a layer follows, where PSA replaces a convolution, and the shapes of the input.
MODELS_OF_MMDET = {
    'CSPNeXt': (
        dict(deepen_factor=0.34, widen_factor=0.25),
        dict(position='after_conv2', block='CSPNeXtBlock', stages=(True,) * 4),
        dict(position='instead_of_conv1'),
        (1, 3, 64, 64),
    ),
    'CSPDarknet': (
        dict(deepen_factor=0.34, widen_factor=0.25),
        dict(position='after_conv2', block='DarknetBottleneck', stages=(True,) * 3 + (False,)),
        dict(position='instead_of_conv2'),
        (1, 3, 64, 64),
    ),
    'MobileNetV2': (
        dict(out_indices=(2, 7)),
        dict(position='after_depthwise_conv', stages=(False,) + (True,) * 6),
        dict(position='instead_of_depthwise_conv'),
        (1, 3, 64, 64),
    ),
    'ResNet': (dict(depth=18), None, dict(position='instead_of_conv2'), (1, 3, 64, 64)),
    'FPN': (
        dict(**PYRAMID, norm_cfg=BN),
        dict(position='after_lateral_convs'),
        dict(position='instead_of_fpn_convs', stages=(False, True, True)),
        LEVELS,
    ),
    'PAFPN': (
        dict(**PYRAMID, norm_cfg=BN),
        dict(position='after_pafpn_convs', stages=(True, False)),
        dict(position='instead_of_downsample_convs'),
        LEVELS,
    ),
    'CSPNeXtPAFPN': (
        dict(in_channels=[16, 32, 64], out_channels=32, num_csp_blocks=1),
        dict(position='after_final_conv', stages=(True, True, False, False)),
        dict(position='instead_of_out_convs'),
        LEVELS,
    ),
    'YOLOXPAFPN': (
        dict(in_channels=[16, 32, 64], out_channels=32, num_csp_blocks=1),
        dict(position='after_out_convs'),
        dict(position='instead_of_conv2'),
        LEVELS,
    ),
    'RetinaSepBNHead': (
        dict(HEAD, num_ins=3, norm_cfg=BN, stacked_convs=2),
        dict(position='after_cls_convs'),
        dict(position='instead_of_reg_convs'),
        EQUAL_LEVELS,
    ),
    'RTMDetSepBNHead': (
        dict(HEAD, with_objectness=False, anchor_generator=POINTS, norm_cfg=BN),
        dict(position='after_reg_convs', stages=(True, False, True)),
        dict(position='instead_of_cls_convs'),
        EQUAL_LEVELS,
    ),
    'YOLOXHead': (
        HEAD,
        dict(position='after_multi_level_cls_convs'),
        dict(position='instead_of_multi_level_reg_convs'),
        EQUAL_LEVELS,
    ),
}


class Zero(nn.Module):
    """A layer that shows where it is: nothing of its input is left."""

    def __init__(self, in_channels):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(in_channels, 1, 1))

    def forward(self, x):
        return x * self.scale


def build(base, *plugins, **options):
    return MODELS.build(dict(type='WithPlugins', base=base, plugins=list(plugins), **options))


def plain(base, **options):
    return MODELS.build(dict(type=base, **options))


@torch.no_grad()
def evaluate(model, x):
    model.eval()  # some of mmdet's return None
    return flat(model(x))


def flat(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for output in outputs for tensor in flat(output)]


def case(name):
    """Return options, plugins and an input of a model."""
    options, after, instead, shape = MODELS_OF_MMDET[name]
    plugins = [dict(cfg=cfg, **at) for cfg, at in ((SE, after), (PSA, instead)) if at]
    x = tuple(map(torch.randn, shape)) if isinstance(shape, list) else torch.randn(shape)
    return options, plugins, x


@pytest.mark.parametrize('name', MODELS_OF_MMDET)
def test_it_stays_the_model_of_mmdet_and_loads_its_weights(name):
    options, plugins, x = case(name)
    theirs = randomise(plain(name, **options))
    (*after, _), psa = plugins, plugins[-1]
    ours = build(name, *after, **options)
    assert type(ours) is type(theirs)
    kept = {k for k in ours.state_dict() if 'se_layer2d' not in k}
    assert kept == theirs.state_dict().keys()
    found = compare_without_plugins(theirs.state_dict(), ours)
    assert found.complete, 'layers count as additions, not as another architecture'
    ours = build(name, psa, **options)
    kept = {k for k in ours.state_dict() if '.conv_' not in k and '.se.' not in k}
    assert kept < theirs.state_dict().keys()


@pytest.mark.parametrize('name', MODELS_OF_MMDET)
def test_it_trains_and_survives_what_is_done_to_models(name):
    options, plugins, x = case(name)
    model = build(name, *plugins, **options)
    model.init_weights()
    model.train()
    sum(output.square().mean() for output in flat(model(x))).backward()
    layers = [m for m in model.modules() if type(m).__name__ in ('SELayer2d', 'PSAConv2d')]
    gradients = [p.grad for layer in layers for p in layer.parameters()]
    assert layers and all(g is not None and g.isfinite().all() for g in gradients)
    model.zero_grad()
    randomise(model)
    expected = evaluate(model, x)
    for changed in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        ExpMomentumEMA(model).module,
        revert_sync_batchnorm(convert_sync_batchnorm(copy.deepcopy(model))),
        deploy(model),
    ):
        assert_close(evaluate(changed, x), expected, tolerance=5e-5)
    fresh = build(name, *plugins, **options)
    fresh.load_state_dict(model.state_dict())
    assert_close(evaluate(fresh, x), expected)


@pytest.mark.parametrize(
    'name, position, stages',
    [
        ('CSPNeXt', dict(position='after_conv2', block='CSPNeXtBlock'), 'TTTF'),
        ('CSPDarknet', dict(position='after_conv2', block='DarknetBottleneck'), 'TTTF'),
        ('MobileNetV2', dict(position='after_linear_conv'), 'FTTTTTF'),
    ],
)
def test_a_layer_that_leaves_nothing_makes_residual_blocks_identities(name, position, stages):
    options, _, x = case(name)
    flags = [flag == 'T' for flag in stages]
    model = build(name, dict(cfg=dict(type=Zero), stages=flags, **position), **options)
    theirs = plain(name, **options)
    randomise(theirs).load_state_dict(randomise(model).state_dict(), strict=False)
    for stage, flag in zip((s for n, s in theirs.named_children() if n[:-1] in KINDS), flags):
        for block in stage.modules():
            if flag and hasattr(block, 'add_identity'):
                block.forward = lambda x: x
            elif flag and hasattr(block, 'with_res_shortcut'):
                block.forward = partial(without_branch, block)
    assert_close(evaluate(model, x), evaluate(theirs, x))


def without_branch(block, x):
    return x if block.with_res_shortcut else 0 * type(block).forward(block, x)


def test_flags_choose_levels_of_a_neck():
    options, _, x = case('FPN')
    zero = dict(cfg=dict(type=Zero), position='after_fpn_convs', stages=(False, True, False))
    model = build('FPN', zero, **options)
    outputs = evaluate(model, x)
    assert [bool((o == 0).all()) for o in outputs] == [False, True, False]


def test_frozen_stages_freeze_their_layers():
    options, (after, psa), _ = case('CSPDarknet')
    model = build('CSPDarknet', after, psa, frozen_stages=1, **options)
    for _ in range(2):
        assert not any(p.requires_grad for p in model.stage1.parameters())
        assert not any(m.training for m in model.stage1.modules())
        assert all(p.requires_grad for p in model.stage2.parameters())
        model.train()


def test_convolutions_that_levels_share_stay_shared():
    options, (_, psa), _ = case('RTMDetSepBNHead')
    head = build('RTMDetSepBNHead', psa, **options)
    convs = {level[0].conv for level in head.cls_convs}
    assert len(convs) == 1 and type(convs.pop()) is PSAConv2d
    assert len({level[0].bn for level in head.cls_convs}) == 3


def test_a_module_of_two_names_gets_one_layer():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            conv = ConvModule(8, 8, 3, padding=1)
            self.convs = nn.ModuleList([conv, conv])

    model = build(Shared, dict(cfg=SE, position='after_convs'))
    assert model.convs[1].plugin_names == ['se_layer2d']


def test_psa_in_a_depthwise_place_has_the_narrowest_groups():
    options, (_, psa), _ = case('MobileNetV2')
    conv = build('MobileNetV2', psa, **options).layer2[0].depthwise_conv.conv
    assert conv.stride == (2, 2) and conv.in_channels == 96
    assert [branch.in_channels // branch.groups for branch in conv.convs] == [4] * 4
    assert [branch.out_channels // branch.groups for branch in conv.convs] == [1] * 4


def test_layers_normalise_as_the_convolution_before_them():
    group = dict(type='GN', num_groups=1)
    plugin = dict(cfg=dict(type='BAM2d'), position='after_final_conv', stages=(False, True) * 2)
    model = build('CSPDarknet', plugin, norm_cfg=group, deepen_factor=0.34, widen_factor=0.25)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert hasattr(model.stage4[2].final_conv, 'bam2d')


@pytest.mark.parametrize('layer', [layer.__name__ for layer in PLUGIN_LAYERS])
def test_every_attention_layer_goes_there(layer):
    options, _, x = case('CSPNeXt')
    cfg = dict(type=layer, dct_size=7) if layer == 'FcaLayer2d' else dict(type=layer)
    model = build('CSPNeXt', dict(cfg=cfg, position='after_final_conv'), **options)
    assert all(output.isfinite().all() for output in evaluate(model, x))


# Millions of parameters with 1000 classes, as published.
@pytest.mark.parametrize(
    'layer, position, stages, unit, published',
    [
        # Coordinate attention's paper (in its code, blocks without expansion have none), and CBAM
        # in the same paper
        ('CoordAttention2d', 'after_depthwise_conv', (False,) + (True,) * 6, 10**6, '3.95'),
        ('CBAM2d', 'after_depthwise_conv', (True,) * 7, 10**6, '3.89'),
        # ECA-Net's README, which counts in 2^20
        ('ECALayer2d', 'after_linear_conv', (True,) * 7, 2**20, '3.34'),
    ],
)
def test_mobilenetv2_has_the_published_parameters(layer, position, stages, unit, published):
    cfg = dict(type=layer, reduction=24) if layer == 'CBAM2d' else dict(type=layer)
    model = build('MobileNetV2', dict(cfg=cfg, position=position, stages=stages))
    count = count_parameters(model, trainable_only=False) + 1281 * 1000
    assert f'{count / unit:.2f}' == published


def test_explanations_name_the_layers():
    options, plugins, x = case('CSPNeXt')
    model = build('CSPNeXt', *plugins, **options)
    with recorded(model, torch.tensor([[0.0, 0, 32, 32]]), (64, 64)) as record:
        model(x)
    assert [g.layer for g in record.gates][0] == 'stage1.1.blocks.0.conv2.se_layer2d'
    assert [s.layer for s in record.scales][0] == 'stage1.1.blocks.0.conv1.conv'


def test_exports_at_any_size():
    options, plugins, _ = case('CSPNeXt')
    model = randomise(build('CSPNeXt', *plugins, **options))
    model.eval()
    program = export_program(deploy(model)).module()
    x = torch.randn(2, 3, 96, 160)
    assert_close(flat(program(x)), evaluate(model, x), tolerance=1e-4)


def refused(*plugins, base='CSPNeXt', **options):
    return error_line(ArgumentError, lambda: build(base, *plugins, **options))


@pytest.mark.parametrize(
    'plugin, message',
    [
        (dict(cfg=SE, position='after_conv3'), 'choose after_stem (CSPNeXt), '),
        (dict(cfg=SE, position='conv1'), 'instead_of_conv1 (CSPNeXtBlock)'),
        (dict(cfg=SE, position='after_conv2', block='Bottleneck'), "in block='Bottleneck'"),
        (dict(cfg=SE, position='after_conv2'), "block='CSPNeXtBlock' or block='SPPBottleneck'"),
        (
            dict(cfg=SE, position='after_main_conv', stages=(True,)),
            'each of stage1, stage2, stage3, stage4, but got stages=(True,)',
        ),
        (
            dict(cfg=SE, position='after_conv1', block='SPPBottleneck', stages=(True,) * 4),
            'in stage1, only in stage4',
        ),
        (dict(cfg=SE), 'needs cfg and position'),
        (dict(cfg=SE, position='after_conv1', stage=1), 'accepts stages and block'),
        (dict(cfg=dict(type='SE'), position='after_main_conv'), "no layer of type='SE'"),
        (
            dict(cfg=dict(SE, ratio=2), position='after_main_conv'),
            'CSPNeXt.stage1.1.main_conv: ',
        ),
        (
            dict(cfg=PSA, position='instead_of_depthwise_conv'),
            'stage1.1.blocks.0.conv2.depthwise_conv: PSAConv2d replaces 3x3 convolutions',
        ),
    ],
)
def test_wrong_choices_are_named_in_one_line(plugin, message):
    assert message in refused(plugin)


def test_two_layers_in_one_place_need_different_names():
    again = dict(cfg=dict(SE, postfix=1), position='after_stem')
    first = dict(cfg=SE, position='after_stem')
    model = build('CSPNeXt', first, again)
    assert model.stem[0].plugin_names == ['se_layer2d', 'se_layer2d1']
    assert 'CSPNeXt.stem.0: there is a se_layer2d already' in refused(first, first)
    psa = dict(cfg=PSA, position='instead_of_conv1')
    assert 'another plugin has replaced it already' in refused(psa, psa)


def test_psa_where_a_convolution_has_a_bias_asks_for_a_norm():
    line = refused(dict(cfg=PSA, position='instead_of_fpn_convs'), base='FPN', **PYRAMID)
    assert line.startswith('FPN.fpn_convs.0: PSAConv2d has no bias') and 'norm_cfg' in line


def test_a_model_without_convolutions_of_mmcv_is_refused():
    class Bare(nn.Module):
        pass

    line = refused(dict(cfg=SE, position='after_conv1'), base=Bare)
    assert 'choose another model' in line


def test_bare_convolutions_are_not_followed():
    """A layer after a bare convolution would precede its norm; ResNets have their own option."""
    line = refused(dict(cfg=SE, position='after_conv2'), base='ResNet', depth=18)
    assert 'ConvModule' not in line and 'instead_of_conv2 (BasicBlock)' in line
    assert not any(isinstance(m, ConvModule) for m in plain('ResNet', depth=18).modules())
