"""Jobs with equal settings have equal hashes, and compared variants differ in their backbones."""

import json
import re

import pytest

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.engine.hooks.guards import GUARDS
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.experiments.fingerprint import (
    check_equal,
    check_same_data,
    decisive,
    differences,
    run_settings,
    settings_of,
    short_hash,
)
from epsanet_mmdet.experiments.plan import Comparison, Variant

SMALL = 'mask-rcnn_resnet50_fpn_small-data'
BASE, OTHER = 'mask-rcnn_senet50_fpn_1x_coco', 'mask-rcnn_epsanet50-l_fpn_1x_coco'


def settings(options=None, seed=0, processes=1):
    return settings_of(load_config(SMALL, options), seed, processes, dict(train=1))


def changed(options):
    before, after = decisive(settings()), decisive(settings(options))
    return [key for key, _, _ in differences(before, after)]


def compare(options=None, allow=(), other=OTHER):
    variants = [Variant(BASE, 'senet50'), Variant(other, 'ours')]
    configs = {'senet50': load_config(BASE), 'ours': load_config(other, options)}
    return check_equal(Comparison(variants, baseline='senet50', allow=list(allow)), configs)


def test_equal_settings_have_equal_hashes_and_others_do_not():
    assert short_hash(settings()) == short_hash(settings())
    for other in (settings(seed=1), settings(processes=2), settings({'train_cfg.max_epochs': 3})):
        assert short_hash(other) != short_hash(settings())


@pytest.mark.parametrize(
    'options',
    [
        {'work_dir': 'elsewhere'},
        {'data_root': 'elsewhere'},
        {'default_hooks.logger.interval': 3},
        {'default_hooks.checkpoint.max_keep_ckpts': 9},
        {'test_evaluator.outfile_prefix': 'x'},
    ],
    ids=str,
)
def test_settings_that_change_no_outcome_do_not_count(options):
    assert changed(options) == []


def test_variables_of_a_config_do_not_count():
    config = load_config(SMALL)
    config.train_pipeline = []  # the loader has its own
    assert short_hash(settings_of(config, 0, 1, dict(train=1))) == short_hash(settings())


@pytest.mark.parametrize(
    'options',
    [
        {'custom_hooks': [dict(type='EMAHook')]},
        {'model.test_cfg.rcnn.score_thr': 0.3},
        {'train_dataloader.dataset.pipeline.3.prob': 0.1},
        {'optim_wrapper.optimizer.lr': 1.0},
        {'val_dataloader.num_workers': 3},
    ],
    ids=str,
)
def test_all_other_settings_count(options):
    assert changed(options)


def test_hooks_that_guard_every_run_are_stored_but_do_not_count():
    assert changed({'default_hooks.finite_loss': None}) == []
    assert changed({'custom_hooks': [dict(type='FiniteLossHook')]}) == []
    assert 'finite_loss' in settings()['config']['default_hooks']


def test_the_base_of_the_learning_rate_counts_where_it_is_used():
    assert changed({'auto_scale_lr.base_batch_size': 64}) == []
    assert changed({'auto_scale_lr.enable': True})


def test_jobs_of_versions_that_listed_the_guards_as_custom_hooks_continue():
    now = settings()
    old = json.loads(json.dumps(now))
    hooks = old['config']['default_hooks']
    guards = [hooks.pop(name) for name in list(hooks) if hooks[name]['type'] in GUARDS]
    assert len(guards) == len(GUARDS)
    old['config']['custom_hooks'] = guards
    assert decisive(old) == decisive(now) != now


def test_early_stopping_counts():
    hooks = [dict(type='ResumableEarlyStoppingHook')]
    assert changed({'custom_hooks': hooks}) == ['config.custom_hooks']


def test_differences_name_nested_keys_and_both_values():
    one, other = dict(a=dict(b=[1, 2]), c=1), dict(a=dict(b=[1, 3]), d=2)
    assert list(differences(one, other)) == [
        ('a.b.1', 2, 3),
        ('c', 1, '(absent)'),
        ('d', '(absent)', 2),
    ]
    assert list(differences([1], [1, 2], 'k')) == [('k', [1], [1, 2])]


def test_settings_survive_being_stored():
    assert json.loads(json.dumps(settings())) == settings()
    assert 'data_root' not in json.dumps(run_settings(load_config(SMALL)))


@pytest.mark.parametrize(
    'options', [None, {'model.neck.in_channels': [1, 2, 3, 4]}, {'data_root': 'elsewhere'}], ids=str
)
def test_variants_may_differ_in_backbone_weights_and_location_of_the_data(options):
    assert compare(options) == []


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
def test_other_differences_are_refused_with_their_key_and_both_values(key):
    with pytest.raises(ConfigError) as caught:
        compare({key: UNEQUAL[key]})
    message = str(caught.value)
    named = key if key != 'randomness.seed' else 'randomness'
    value = UNEQUAL[key][0] if isinstance(UNEQUAL[key], list) else UNEQUAL[key]
    for words in (named, str(value), 'senet50', 'ours', 'allow'):
        assert words in message
    assert '\n' not in message


def test_another_detector_to_start_from_is_refused_unless_allowed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.pth').write_bytes(b'a')
    start = {'load_from': 'a.pth'}
    with pytest.raises(ConfigError, match='load_from is '):
        compare(start)
    (note,) = compare(start, ['load_from'])
    assert note == 'load_from is None in senet50, a.pth in ours.'


def test_other_data_are_refused():
    comparison = Comparison([Variant(BASE, 'senet50'), Variant(OTHER, 'ours')])
    data = dict(train=dict(annotations='a', images=3), test=dict(annotations='b', images=1))
    check_same_data(comparison, dict(senet50=data, ours=dict(data)))
    for split in data:
        other = {**data, split: dict(annotations='c', images=3)}
        with pytest.raises(ConfigError, match=f'the {split} data of ours are not those of senet50'):
            check_same_data(comparison, dict(senet50=data, ours=other))


def test_another_number_of_schedulers_is_refused():
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


def test_an_allowed_key_does_not_cover_keys_that_begin_alike():
    with pytest.raises(ConfigError, match='max_epochs'):
        compare({'train_cfg.max_epochs': 24}, ['train_cfg.max'])
