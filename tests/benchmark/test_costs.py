"""The cost table compares detectors with the first one."""

import pytest
from tool_process import run_tool

from epsanet_mmdet.benchmark.costs import Costs, compare_costs, format_table
from epsanet_mmdet.errors import ConfigError


def test_compares_configs_with_the_first():
    names = [f'mask-rcnn_{backbone}_fpn_1x_coco' for backbone in ('resnet50', 'senet50')]
    plain, se = compare_costs(names, size=(64, 96), repeats=1)
    assert [plain.name, se.name] == names
    assert se.parameters - plain.parameters == 46_661_360 - 44_170_992
    assert plain.seconds_ratio == 1 and se.seconds > 0
    assert se.memory > plain.memory and se.flops > plain.flops


def test_unknown_config_is_refused_before_anything_is_built():
    with pytest.raises(ConfigError, match='mask-rcnn_senet51'):
        compare_costs(['mask-rcnn_resnet50_fpn_1x_coco', 'mask-rcnn_senet51_fpn_1x_coco'])


def test_table_shows_the_difference_to_the_first():
    first = Costs('plain', 40_000_000, 200 * 10**9, 0.2, 1.0, 10**9)
    second = Costs('ours', 38_000_000, 190 * 10**9, 0.3, 1.52, 12 * 10**8)
    row = format_table([first, second]).splitlines()[-1]
    assert row == '| ours | 38.00 (-2.00) | 190.00 (-10.00) | 300.0 (x1.52) | 1200 (x1.20) |'


def test_tool_prints_the_table():
    options = ['--size', '32', '32', '--repeats', '1', '--device', 'cpu']
    result = run_tool('compare_costs.py', 'mask-rcnn_ecanet50_fpn_1x_coco', *options)
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith('|')][2:]
    assert [row.split(' | ')[0] for row in rows] == [
        '| mask-rcnn_resnet50_fpn_1x_coco',
        '| mask-rcnn_ecanet50_fpn_1x_coco',
    ]
