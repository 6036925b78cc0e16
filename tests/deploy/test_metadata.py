"""An exported file states everything that its user needs to know."""

import json

import numpy as np
import pytest
from mmengine.config import Config
from one_line import error_line
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.deploy import describe_detector
from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.inference.detector import Detector


@pytest.fixture
def described(tiny_detector, tmp_path):  # noqa: F811
    def function(*transforms, **model):
        path = tmp_path / 'other.py'
        config = Config.fromfile(tiny_detector.config)
        load, *_, pack = config.test_dataloader.dataset.pipeline
        config.test_dataloader.dataset.pipeline = [load, *transforms, pack]
        config.merge_from_dict({f'model.{name}': value for name, value in model.items()})
        config.dump(path)
        return describe_detector(Detector(str(path), tiny_detector.checkpoint, 'cpu'))

    return function


def test_all_entries_are_text(described):
    facts = described(dict(type='Resize', scale=(96, 64), keep_ratio=True))
    assert all(isinstance(value, str) for value in facts.values())
    assert json.loads(facts['classes']) == ['disc', 'box']
    assert json.loads(facts['resize']) == dict(scale=[96, 64], keep_ratio=True)
    assert float(facts['score_threshold']) == 0.05 and int(facts['max_detections']) == 10
    assert facts['channels'] == 'BGR'
    normalization = json.loads(facts['normalization'])
    np.testing.assert_allclose(normalization['mean'], [123.675, 116.28, 103.53])
    assert normalization['channels'] == 'RGB'


def test_no_resizing_and_no_normalization(described):
    facts = described(**{'data_preprocessor.mean': None, 'data_preprocessor.std': None})
    assert json.loads(facts['resize']) is None and json.loads(facts['normalization']) is None


@pytest.mark.parametrize(
    'transforms, named',
    [
        ([dict(type='Pad', size_divisor=32)], 'Pad'),
        ([dict(type='Resize', scale_factor=0.5)], 'Resize'),
        ([dict(type='Resize', scale=(9, 9), interpolation='area')], 'area'),
        ([dict(type='Resize', scale=(9, 9))] * 2, 'Resize'),
    ],
)
def test_another_preparation_is_refused(described, transforms, named):
    assert named in error_line(ArgumentError, described, *transforms)
