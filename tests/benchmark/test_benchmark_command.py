"""The benchmark writes tables and JSON, checks ratios, and refuses mistakes in one line."""

import json
import os

import pytest
import torch
from tool_process import run_tool

from epsanet_mmdet.benchmark import run_benchmark
from epsanet_mmdet.benchmark.command import with_variants
from epsanet_mmdet.errors import ArgumentError, ConfigError, UserError


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(networks=['resnet51']), 'resnet51'),
        (dict(networks=['configs/nothing.py:backbone']), 'nothing'),
        (dict(networks=['epsanet50-s+fast']), r'\+fast'),
        (dict(networks=['epsanet50-s+cudagraph']), 'GPU'),
        (dict(inference=['1x31x320']), '1x31x320'),
        (dict(inference=['320']), 'BATCHxHEIGHTxWIDTH'),
        (dict(inference=['0x64x64']), '0x64x64'),
        (dict(inference=[]), 'nothing to measure'),
        (dict(repeats=0), 'repeats=0'),
        (dict(threads=0), 'threads=0'),
        (dict(precision='fp8'), 'fp8'),
        (dict(precision='tf32'), 'GPU'),
        (dict(device='cuda:99'), 'cuda:99'),
        (dict(baseline='resnet50+deploy', training=['2x64x64']), 'cannot be trained'),
        (dict(also=['fast']), r'\+fast'),
        (dict(expect=['epsanet50-l<=1']), 'epsanet50-l'),
    ],
    ids=str,
)
def test_refuses_in_one_line_that_names_what_is_wrong(arguments, named):
    given = dict(networks=['resnet50'], inference=['1x64x64'], device='cpu', repeats=1)
    if 'cudagraph' in str(arguments) and torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises((ArgumentError, ConfigError), match=named) as caught:
        run_benchmark(**{**given, **arguments})
    assert '\n' not in str(caught.value)


def test_tool_writes_tables_and_json_and_fails_where_slower_than_expected(tmp_path):
    out = tmp_path / 'out.json'
    options = ['--inference', '1x64x64', '--repeats', '1', '--device', 'cpu', '--out', str(out)]
    options += ['--expect', 'epsanet50-s<=0.001']
    result = run_tool('benchmark.py', 'epsanet50-s', *options)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith('error: epsanet50-s takes x')
    assert '| epsanet50-s | ' in result.stdout
    content = json.loads(out.read_text())
    assert content['precision'] == 'fp32' and content['torch'] == torch.__version__
    assert [r['name'] for r in content['results']] == ['resnet50', 'epsanet50-s']
    first = content['results'][0]
    assert first['input'] == '1x3x64x64'
    # Of a ResNet-50, 4.09 G multiply-accumulates at 224x224 with the classifier's 2 M.
    assert first['work']['flops'] == pytest.approx(2 * 4.087e9 * (64 / 224) ** 2, rel=0.001)
    rate = first['work']['flops'] / first['seconds']
    share = rate / content['ceilings_per_second']['flops']
    assert f'| {rate / 1e9:.1f} ({share:.0%}) |' in result.stdout


def test_what_cannot_be_measured_leaves_the_file_of_a_run_before(tmp_path):
    out = tmp_path / 'out.json'
    out.write_text('before')
    with pytest.raises(UserError):
        run_benchmark(['absent'], inference=['1x64x64'], device='cpu', out=str(out))
    assert out.read_text() == 'before' and os.listdir(tmp_path) == ['out.json']


def test_variants_follow_their_network_unless_they_repeat_an_option():
    assert with_variants(['resnet50', 'epsanet50-s+compile'], ['compile', 'channels-last']) == [
        'resnet50',
        'resnet50+compile',
        'resnet50+channels-last',
        'epsanet50-s+compile',
        'epsanet50-s+compile+channels-last',
    ]
