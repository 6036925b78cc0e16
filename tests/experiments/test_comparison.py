"""Compared rows differ in their backbones alone, or the plan says in what else."""

import re

import pytest

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.experiments.comparison import check_equal
from epsanet_mmdet.experiments.plan import Comparison, Row

BASE, OTHER = 'mask-rcnn_senet50_fpn_1x_coco', 'mask-rcnn_epsanet50-l_fpn_1x_coco'


def compare(options=None, allow=(), other=OTHER):
    rows = [Row(BASE, 'senet50'), Row(other, 'ours')]
    configs = {'senet50': load_config(BASE), 'ours': load_config(other, options)}
    return check_equal(Comparison(rows, baseline='senet50', allow=list(allow)), configs)


def test_another_backbone_and_its_weights_may_differ():
    assert compare() == []
    assert compare({'model.neck.in_channels': [1, 2, 3, 4]}) == []


def test_where_data_lie_does_not_matter():
    assert compare({'data_root': 'elsewhere'}) == []


UNEQUAL = {
    'train_cfg.max_epochs': 24,
    'optim_wrapper.optimizer.lr': 0.01,
    'train_dataloader.batch_size': 8,
    'train_dataloader.dataset.pipeline.2.scale': [640, 480],
    'model.roi_head.bbox_head.num_classes': 3,
    'model.neck.out_channels': 64,
    'param_scheduler.1.milestones': [6, 11],
    'randomness.seed': 3,
}


@pytest.mark.parametrize('key', UNEQUAL)
def test_other_differences_are_refused_by_name_with_both_values(key):
    with pytest.raises(ConfigError) as caught:
        compare({key: UNEQUAL[key]})
    message = str(caught.value)
    named = key if key != 'randomness.seed' else 'randomness'
    value = UNEQUAL[key][0] if isinstance(UNEQUAL[key], list) else UNEQUAL[key]
    for words in (named, str(value), 'senet50', 'ours', 'allow'):
        assert words in message
    assert '\n' not in message


def test_other_numbers_of_schedulers_are_refused():
    with pytest.raises(ConfigError, match='param_scheduler is'):
        compare({'param_scheduler': [dict(type='ConstantLR')]})


def test_another_detector_is_refused():
    with pytest.raises(ConfigError, match='model'):
        compare(other='faster-rcnn_epsanet50-l_fpn_1x_coco')


@pytest.mark.parametrize('allowed', ['train_cfg.max_epochs', 'train_cfg'])
def test_allowed_differences_become_notes(allowed):
    notes = compare({'train_cfg.max_epochs': 24}, [allowed])
    assert notes == ['train_cfg.max_epochs is 12 in senet50, 24 in ours.']
    with pytest.raises(ConfigError, match=re.escape('train_dataloader.batch_size')):
        compare({'train_cfg.max_epochs': 24, 'train_dataloader.batch_size': 3}, [allowed])


def test_allowing_a_key_allows_none_that_begins_alike():
    with pytest.raises(ConfigError, match='max_epochs'):
        compare({'train_cfg.max_epochs': 24}, ['train_cfg.max'])
