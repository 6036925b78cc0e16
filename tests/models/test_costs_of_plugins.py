"""The costs in docs/modules.md of layers in small backbones are counted."""

import functools

import pytest
from conftest import ROOT
from mmdet.registry import MODELS

from epsanet_mmdet.utils.flops import count_flops, count_parameters

IMAGE = (3, 640, 640)
BACKBONES = {
    'CSPNeXt, tiny': ('CSPNeXt', dict(deepen_factor=0.167, widen_factor=0.375)),
    'CSPDarknet, s': ('CSPDarknet', dict(deepen_factor=0.33, widen_factor=0.5)),
    'MobileNetV2': ('MobileNetV2', {}),
    'ResNet-18': ('PluginResNet', dict(depth=18)),
}
BLOCKS = {'CSPNeXt': 'CSPNeXtBlock', 'CSPDarknet': 'DarknetBottleneck'}
TEXT = (ROOT / 'docs' / 'modules.md').read_text().split('## In other models')[1]
ROWS = [
    [cell.strip(' `') for cell in line.strip('|').split('|')]
    for line in TEXT.splitlines()
    if line.startswith(tuple(f'| {name} |' for name in BACKBONES))
]


def costs(type: str, **options) -> tuple[int, float]:
    model = MODELS.build(dict(type=type, **options))
    return count_parameters(model, trainable_only=False), count_flops(model, IMAGE).detection / 1e9


@functools.cache
def plain(name: str) -> tuple[int, float]:
    type, options = BACKBONES[name]
    return costs(type, **options)


@pytest.mark.parametrize('row', ROWS, ids=lambda row: '-'.join(row[:2]))
def test_a_row_is_counted(row):
    name, layer, position, stages, *published = row
    type, options = BACKBONES[name]
    plugin = dict(cfg=dict(type=layer), position=position)
    if type in BLOCKS:
        plugin['block'] = BLOCKS[type]
    if stages == '2 to 7':
        plugin['stages'] = (False, *[True] * 6)
    if position == 'dcn':
        changed = costs(type, dcn=plugin['cfg'], stage_with_dcn=(True,) * 4, **options)
    elif type == 'PluginResNet':
        changed = costs(type, plugins=[plugin], **options)
    else:
        changed = costs('WithPlugins', base=type, plugins=[plugin], **options)
    parameters, flops = (after - before for after, before in zip(changed, plain(name)))
    assert [f'{parameters:,}', f'{flops:.2f}'] == published


@pytest.mark.parametrize('name', BACKBONES)
def test_the_backbones_have_the_stated_costs(name):
    parameters, flops = plain(name)
    text = ' '.join(TEXT.split())
    assert f'({parameters:,}' in text and f'{flops:.2f}' in text.split(f'({parameters:,}')[1][:25]


def test_every_backbone_has_rows():
    assert {row[0] for row in ROWS} == BACKBONES.keys()
