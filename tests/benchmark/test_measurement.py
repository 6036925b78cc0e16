"""Networks are measured side by side: times, memory and work in inference and training."""

import pytest
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.benchmark import Input, measure
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
