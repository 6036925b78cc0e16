"""Networks by name, what is measured of them, and what a user may get wrong."""

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.benchmark import (
    Input,
    PublishedPSA,
    build_network,
    measure,
    parse_input,
    run_benchmark,
)
from epsanet_mmdet.benchmark.passes import make_pass
from epsanet_mmdet.errors import ArgumentError, ConfigError, UserError
from epsanet_mmdet.layers.fusable import FUSED
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.utils.flops import count_parameters

CPU = torch.device('cpu')
SMALL = 'mask-rcnn_epsanet50-s_fpn_1x_coco'
TINY = Input(2, 64, 64)


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


def test_measures_inference_and_training_side_by_side():
    names = ['resnet50', 'epsanet50-s']
    base, ours, *training = measure(names, [TINY], [TINY], repeats=1, device='cpu')
    assert [m.name for m in (base, ours, *training)] == names * 2
    assert base.ratio == 1 and ours.ratio > 0 and ours.seconds > 0
    assert ours.images_per_second == 2 / ours.seconds
    assert ours.flops_ratio == pytest.approx(0.88, abs=0.01)
    assert base.activation_bytes is None
    for m in training:
        assert m.task == 'training'
        # Gradients of all parameters come on top of what is saved.
        assert m.peak_bytes > m.activation_bytes > 1e6


def test_torch_s_own_operations_can_be_measured_beside_our_kernels(monkeypatch):
    kernels = pytest.importorskip('epsanet_mmdet.ops.cpu.kernels')
    fused, used = FUSED[EPSANet], []
    monkeypatch.setitem(
        FUSED, EPSANet, lambda *given: used.append(kernels.instruction_set()) or fused(*given)
    )
    for name in ('epsanet50-s+library', 'epsanet50-s'):
        make_pass(build_network(name, CPU), 'inference', TINY, CPU, 'fp32')()
    assert used == [None, kernels.instruction_set()]


def test_measures_whole_detectors(tiny_detector):  # noqa: F811
    first, second = measure([tiny_detector.config], [TINY], [TINY], repeats=1, device='cpu')
    assert (first.task, second.task) == ('inference', 'training')
    assert second.seconds > 0 and second.activation_bytes > 0


def test_deployed_networks_are_left_out_of_training():
    names = ['resnet50', 'epsanet50-s+deploy']
    measurements = measure(names, [TINY], [TINY], repeats=1, device='cpu')
    assert [(m.name, m.task) for m in measurements] == [
        ('resnet50', 'inference'),
        ('epsanet50-s+deploy', 'inference'),
        ('resnet50', 'training'),
    ]


def test_reads_inputs():
    assert parse_input('4x800x1333') == Input(4, 800, 1333)
    assert parse_input(str(TINY)) == TINY


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


def test_a_network_that_cannot_run_is_named():
    # ResNeSt normalises globally pooled maps, one value a channel in a batch of one.
    with pytest.raises(ConfigError, match='resnest50 fails in training at 1x3x64x64'):
        measure(['resnest50'], [], [Input(1, 64, 64)], repeats=1, device='cpu')


def test_tool_writes_tables_and_json_and_fails_where_slower_than_expected(tmp_path):
    out = tmp_path / 'out.json'
    command = [sys.executable, str(ROOT / 'tools' / 'benchmark.py'), 'epsanet50-s']
    options = ['--inference', '1x64x64', '--repeats', '1', '--device', 'cpu', '--out', str(out)]
    result = subprocess.run(
        [*command, *options, '--expect', 'epsanet50-s<=0.001'],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
    )
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
