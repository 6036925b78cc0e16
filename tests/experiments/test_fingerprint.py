"""Settings: what counts as the same job, and how a difference is found and shown."""

import pytest

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.experiments.fingerprint import (
    decisive,
    differences,
    run_settings,
    settings_of,
    short_hash,
    shown,
)

NAME = 'mask-rcnn_resnet50_fpn_small-data'


def settings(options=None, seed=0, processes=1):
    return settings_of(load_config(NAME, options), seed, processes, dict(train=1))


def changed(**options):
    return [key for key, _, _ in differences(decisive(settings()), decisive(settings(options)))]


def test_equal_configs_have_equal_names_and_others_others():
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
        {'train_pipeline': []},  # only a variable of the config: the loader has its own
        {'test_evaluator.outfile_prefix': 'x'},
    ],
    ids=str,
)
def test_what_changes_no_outcome_does_not_count(options):
    assert changed(**options) == []


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
def test_anything_else_does(options):
    assert changed(**options)


def test_hooks_that_guard_every_run_do_not_count():
    assert changed(custom_hooks=[]) == []
    assert changed(custom_hooks=[dict(type='FiniteLossHook')]) == []
    assert settings()['config']['custom_hooks']  # yet they are on record


def test_differences_name_nested_keys_and_both_values():
    one, other = dict(a=dict(b=[1, 2]), c=1), dict(a=dict(b=[1, 3]), d=2)
    assert list(differences(one, other)) == [
        ('a.b.1', 2, 3),
        ('c', 1, '(absent)'),
        ('d', '(absent)', 2),
    ]
    assert list(differences([1], [1, 2], 'k')) == [('k', [1], [1, 2])]


def test_values_are_shown_on_one_short_line():
    assert shown({'a': 'x\ny'}) == '{"a": "x\\ny"}'
    assert len(shown('long ' * 100)) == 60


def test_settings_survive_being_stored():
    import json

    assert json.loads(json.dumps(settings())) == settings()
    assert 'data_root' not in json.dumps(run_settings(load_config(NAME)))
