"""Every run has the hooks that guard it, once and in the same order, whatever a config adds."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from toy_training import EPOCHS, toy_config, toy_runner

from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.engine.hooks.guards import GUARDS
from epsanet_mmdet.engine.runner import BriefRunner

# As they were while configs/_base_/default_runtime.py listed the guards in custom_hooks.
ORDER = [
    'CheckpointMatchHook',
    'RuntimeInfoHook',
    'ExactResumeHook',
    'IterTimerHook',
    'DistSamplerSeedHook',
    'DetVisualizationHook',
    'NumClassCheckHook',
    'FiniteLossHook',
    'AmpOperatorsHook',
    'LoggerHook',
    'ParamSchedulerHook',
    'AtomicCheckpointHook',
    'SkippedDataHook',
    'PreemptionHook',
]
OLD_LAYOUT = [dict(type=name) for name in GUARDS]
RUNNERS = pytest.mark.parametrize('runner', ['Runner', 'BriefRunner'])


def names(runner: Runner) -> list:
    return [type(hook).__name__ for hook in runner.hooks]


def build(work_dir, runner: str, **options) -> Runner:
    if runner == 'BriefRunner':
        return BriefRunner.from_cfg(toy_config(work_dir, **options))
    return toy_runner(work_dir, **options)


@RUNNERS
def test_the_guards_run_in_the_same_order_as_before(runner, tmp_path):
    assert names(build(tmp_path, runner)) == ORDER


def test_the_list_names_the_guards_of_the_shipped_configs():
    hooks = Config.fromfile(configs_dir() / '_base_' / 'default_runtime.py').default_hooks
    types = [hook.type for hook in hooks.values()]
    assert set(GUARDS) == {name for name in types if name in GUARDS}


@RUNNERS
def test_a_hook_of_a_user_is_added_and_replaces_none(runner, tmp_path):
    hook = dict(type='EMAHook', momentum=0.1)
    assert sorted(names(build(tmp_path, runner, custom_hooks=[hook]))) == sorted(
        [*ORDER, 'EMAHook']
    )


@RUNNERS
def test_guards_that_an_older_config_repeats_act_once(runner, tmp_path, capfd):
    built = build(tmp_path, runner, custom_hooks=[*OLD_LAYOUT, dict(type='EMAHook')])
    built.train()
    assert built.epoch == EPOCHS
    kept = names(built)
    kept.remove('EMAHook')
    assert kept == ORDER


def test_none_removes_a_guard(tmp_path):
    options = dict(default_hooks__finite_loss=None, default_hooks__timer=None)
    missing = {'FiniteLossHook', 'IterTimerHook'}
    assert names(build(tmp_path, 'BriefRunner', **options)) == [
        n for n in ORDER if n not in missing
    ]
