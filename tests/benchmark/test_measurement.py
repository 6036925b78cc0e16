"""Networks are measured side by side: times, memory and work in inference and training."""

import pytest
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.benchmark import Input, candidate, measure, measurement, networks
from epsanet_mmdet.benchmark.gpu_time import GPUTime
from epsanet_mmdet.errors import ConfigError

TINY = Input(2, 64, 64)


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


def test_a_network_that_cannot_run_is_named():
    # ResNeSt normalises globally pooled maps, one value a channel in a batch of one.
    with pytest.raises(ConfigError, match='resnest50 fails in training at 1x3x64x64'):
        measure(['resnest50'], [], [Input(1, 64, 64)], repeats=1, device='cpu')


def test_ratios_to_the_equally_treated_baseline_are_of_the_same_rounds():
    names = ['resnet50', 'resnet50+channels-last', 'epsanet50-s+channels-last', 'epsanet50-s']
    base, last, ours_last, ours = measure(names, [TINY], [], repeats=1, device='cpu')
    assert (base.peer, last.peer, ours.peer) == ('resnet50', 'resnet50+channels-last', 'resnet50')
    assert last.peer_ratio == 1 and ours.peer_ratio == ours.ratio
    assert ours_last.peer_ratio == pytest.approx(ours_last.ratio / last.ratio)


def test_a_gpu_s_time_is_measured_when_all_is_timed(tiny_detector, monkeypatch):  # noqa: F811
    asked, lines = [], []

    def measure_gpu_time(step, device, capturable):
        step()
        asked.append(capturable)
        return GPUTime(0.001 * len(asked), 'graph', None if capturable else 'waits')

    monkeypatch.setattr(measurement, 'has_gpu_time', lambda device: True)
    monkeypatch.setattr(measurement, 'measure_gpu_time', measure_gpu_time)
    config = tiny_detector.config
    names = [config, f'{config}:backbone']
    measured = measure(names, [TINY], [TINY], 1, 'cpu', progress=lines.append)
    assert asked == [False, True] * 2
    assert [m.gpu_seconds for m in measured] == [0.001, 0.002, 0.003, 0.004]
    assert [m.gpu_note for m in measured] == ['waits', None] * 2
    assert ["the GPU's time" in line for line in lines[-5:]] == [False, *[True] * 4]


def test_replays_are_timed_in_place_of_the_pass_that_was_captured(monkeypatch):
    replays = []

    def capture_on_cpu(step, device):
        step()
        return lambda: replays.append(1)

    monkeypatch.setattr(networks, '_check_capturable', lambda *given: None)
    monkeypatch.setattr(candidate, 'capture', capture_on_cpu)
    base, graphed = measure(['resnet50', 'resnet50+cudagraph'], [], [TINY], 2, 'cpu')
    assert len(replays) == 3  # with one to warm up
    assert graphed.seconds < base.seconds and graphed.work == base.work
    assert graphed.peak_bytes == pytest.approx(base.peak_bytes, rel=0.05)
