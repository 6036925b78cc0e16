"""Tables show rates in fitting units, the GPU's time and ratios to an equally treated baseline."""

import json

import pytest

from epsanet_mmdet.benchmark import Input, Measurement, as_json, format_tables
from epsanet_mmdet.benchmark.work import Work

SIZE = Input(8, 320, 320)
CPU, GPU = Work(1.05e11, 4.04e10), Work(7.123e14, 2.914e12)


def measured(name='resnet50', seconds=0.004, task='inference', **more):
    work = Work(2e11, 8e8)
    memory = None if task == 'inference' else 10**8
    return Measurement(
        name, task, SIZE, seconds, 0.01, 1.0, 0.02, 8 / seconds, work, 1.0, memory, 10**9, **more
    )


def table(*measurements, peaks=GPU):
    """Cells by network and column."""
    lines = format_tables(measurements, peaks).splitlines()
    header, _, *rows = [line.strip('| ').split(' | ') for line in lines if line.startswith('|')]
    return {row[0]: dict(zip(header, row)) for row in rows}


def test_rates_of_a_gpu_are_in_tera():
    assert format_tables([measured()], GPU, 'bf16').startswith(
        'Peaks of this machine: 712 TFLOP/s in a product of bf16 matrices, 2.91 TB/s in a copy.'
    )
    row = table(measured())['resnet50']
    assert (row['TFLOP/s'], row['TB/s']) == ('50.00 (7%)', '0.20 (7%)')
    assert row['ms'] == '4.00'


def test_rates_of_a_cpu_are_in_giga():
    assert format_tables([measured()], CPU).startswith(
        'Peaks of this machine: 105 GFLOP/s in a product of fp32 matrices, 40.4 GB/s in a copy.'
    )
    row = table(measured(seconds=4), peaks=CPU)['resnet50']
    assert (row['GFLOP/s'], row['GB/s']) == ('50.0 (48%)', '0.2 (0%)')
    assert 'GPU ms' not in row and 'activations (MB)' not in row


@pytest.mark.parametrize('gpu_seconds, bound', [(0.003, True), (0.0031, False), (None, None)])
def test_a_pass_that_takes_much_longer_than_the_gpu_computes_is_launch_bound(gpu_seconds, bound):
    m = measured(gpu_seconds=gpu_seconds, gpu_source='graph')
    assert m.launch_bound is bound
    assert json.loads(as_json([m], {}, GPU))['results'][0]['launch_bound'] is bound


def test_shows_the_time_of_the_gpu():
    rows = table(
        measured(gpu_seconds=0.0021, gpu_source='graph'),
        measured('resnext50', gpu_seconds=0.0039, gpu_source='graph'),
        measured('res2net50', gpu_seconds=0.0039, gpu_source='profiler'),
        measured('epsanet50-s', gpu_seconds=0.0021, gpu_source='profiler'),
        measured('epsanet50-l', gpu_note='cannot be captured'),
    )
    assert [row['GPU ms'] for row in rows.values()] == [
        '2.10 (launch-bound)',
        '3.90',
        '3.90 (profiler)',
        '2.10 (profiler, launch-bound)',
        '',
    ]


def test_notes_follow_the_table_that_they_belong_to():
    note = 'cannot be captured (RuntimeError: no)'
    text = format_tables([measured(gpu_note=note), measured(task='training')], GPU)
    first, second = text.split('Training step')
    assert f'resnet50 {note}.' in first and note not in second


def test_ratios_to_the_equally_treated_baseline():
    plain = dict(peer='resnet50', peer_ratio=1.0, peer_ratio_iqr=0.02)
    compiled = dict(peer='resnet50+compile', peer_ratio=1.25, peer_ratio_iqr=0.02)
    rows = table(
        measured(**plain),
        measured('epsanet50-s+compile', **compiled),
        measured('epsanet50-s+channels-last'),
    )
    assert [row['like for like'] for row in rows.values()] == ['1.00 ± 0.01', '1.25 ± 0.01', '']


def test_like_for_like_is_left_out_where_it_repeats_the_ratio():
    plain = dict(peer='resnet50', peer_ratio=1.0, peer_ratio_iqr=0.02)
    rows = table(measured(**plain), measured('epsanet50-s', **plain))
    assert 'like for like' not in rows['resnet50']


def test_json_keeps_the_names_of_earlier_versions():
    m = measured(task='training', gpu_seconds=0.003, gpu_source='graph')
    (result,) = json.loads(as_json([m], dict(precision='bf16'), GPU))['results']
    names = 'name task input seconds spread ratio ratio_spread images_per_second work flops_ratio'
    assert {*names.split(), 'saved_bytes', 'peak_bytes'} <= set(result)
    assert result['gpu_seconds'] == 0.003 and result['input'] == '8x3x320x320'
