"""A run can resume and test what it saved, with every scheduler, optimizer and hook of mmengine."""

import datetime
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import _ParamScheduler
from mmengine.registry import HOOKS, OPTIMIZERS, PARAM_SCHEDULERS
from toy_training import EPOCH_LENGTH, VALIDATED, toy_runner, weights

from epsanet_mmdet.checkpoint import restricted_load
from epsanet_mmdet.engine.hooks.loadable_state import can_be_loaded, keep_loadable

EPOCHS = 2
STEPS = EPOCHS * EPOCH_LENGTH


def own(registry) -> dict:
    """Return the classes of mmengine and torch in a registry, by name."""
    modules = registry.module_dict.items()
    return {n: c for n, c in modules if c.__module__.startswith(('mmengine.', 'torch.'))}


def train(work_dir, hooks=(), **options):
    runner = toy_runner(work_dir, **options)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def train_resume_and_test(folder, hooks=(), **options):
    """Check that a run resumed after an epoch equals an uninterrupted one, and test the result.

    Returns:
        The checkpoint that was resumed.
    """
    options = dict(VALIDATED, train_cfg__max_epochs=EPOCHS, randomness=dict(seed=3), **options)
    whole = train(folder / 'whole', hooks, **options)
    saved = folder / 'whole' / 'epoch_1.pth'
    resumed = train(folder / 'resumed', hooks, load_from=str(saved), resume=True, **options)
    assert resumed.iter == STEPS
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name
    test = {key.replace('val_', 'test_'): value for key, value in options.items() if 'val' in key}
    tested = toy_runner(
        folder / 'tested',
        load_from=str(folder / 'resumed' / f'epoch_{EPOCHS}.pth'),
        **{**options, **test, 'test_cfg': dict(type='TestLoop')},
    )
    assert tested.test() == dict(acc=0.5)
    return saved


# Parameter schedulers

ARGUMENTS = dict(
    ConstantLR=dict(factor=0.5),
    CosineAnnealingLR=dict(T_max=STEPS),
    CosineRestartLR=dict(periods=[3, 5], restart_weights=[1, 0.5], eta_min=0.0),
    CyclicLR=dict(base_lr=0.01, max_lr=0.1, step_size_up=2),
    ExponentialLR=dict(gamma=0.9),
    LinearLR=dict(start_factor=0.1, end=5),
    MultiStepLR=dict(milestones=[2, 4]),
    OneCycleLR=dict(eta_max=0.05, total_steps=STEPS),
    PolyLR=dict(end=STEPS),
    QuadraticWarmupLR=dict(end=5),
    ReduceOnPlateauLR=dict(monitor='acc', patience=0),
    StepLR=dict(step_size=3),
)


def kind_of(name: str) -> str:
    return name.removesuffix('ParamScheduler').removesuffix('Momentum').removesuffix('LR')


def schedulers_of(kind: str) -> list:
    """Return the schedulers of one kind: for learning rate, momentum, and any parameter."""
    arguments = dict(ARGUMENTS[f'{kind}LR'])
    if kind != 'ReduceOnPlateau':
        arguments['by_epoch'] = False
    found = [dict(arguments, type=n) for n in sorted(own(PARAM_SCHEDULERS)) if kind_of(n) == kind]
    for scheduler in found:
        if scheduler['type'].endswith('ParamScheduler'):
            scheduler['param_name'] = 'lr'
    return found


@pytest.mark.parametrize('kind', sorted(set(map(kind_of, own(PARAM_SCHEDULERS)))))
def test_every_scheduler_is_resumed(kind, tmp_path):
    train_resume_and_test(tmp_path, param_scheduler=schedulers_of(kind))


def test_one_cycle_with_linear_annealing_is_resumed(tmp_path):
    schedulers = [dict(one, anneal_strategy='linear') for one in schedulers_of('OneCycle')]
    train_resume_and_test(tmp_path, param_scheduler=schedulers)


# Optimizers

UNSUITABLE = dict(
    SparseAdam='needs sparse gradients',
    Muon='takes matrices alone',
    LBFGS='needs a closure, which no OptimWrapper passes',
    Optimizer='is the base class',
    ZeroRedundancyOptimizer='needs several processes',
)


@pytest.mark.parametrize('name', sorted(own(OPTIMIZERS).keys() - UNSUITABLE.keys()))
def test_every_optimizer_is_resumed(name, tmp_path):
    kind = dict(type=name, lr=0.01)
    train_resume_and_test(
        tmp_path, optim_wrapper=dict(optimizer=kind, _delete_=True), param_scheduler=None
    )


# Hooks

HOOK_ARGUMENTS = dict(
    EarlyStoppingHook=dict(monitor='acc', patience=99),
    EMAHook=dict(momentum=0.1),
    ProfilerHook=dict(by_epoch=True, profile_times=1),
)
NEED_MORE = dict(
    NPUProfilerHook='needs an NPU',
    NaiveVisualizationHook='draws samples of another form than the toy model has',
    PrepareTTAHook='needs a model for test-time augmentation',
    CheckpointHook='is the base of AtomicCheckpointHook',
)


@pytest.mark.parametrize('name', sorted(own(HOOKS).keys() - NEED_MORE.keys()))
def test_every_hook_is_resumed(name, tmp_path):
    shipped = [dict(type='CheckpointMatchHook'), dict(type='ExactResumeHook')]
    hook = dict(type=name, **HOOK_ARGUMENTS.get(name, {}))
    train_resume_and_test(tmp_path, custom_hooks=[*shipped, hook])


# Values that users put into the message hub, the metadata and states


class Mood:
    """A class of the user."""


VALUES = dict(
    frozenset=frozenset({1, 2}),
    defaultdict=defaultdict(list, a=[1]),
    Counter=Counter('abca'),
    datetime=datetime.datetime(2024, 1, 2),
    numpy_string=np.str_('cat'),
    numpy_strings=np.array(['cat', 'dog']),
    numpy_scalar=np.float32(1.5),
    object=Mood(),
    function=np.mean,
    lambda_=lambda x: x,
    nested=dict(good=1, bad=[Mood()], deeper=dict(good=2, worse=print)),
)


@pytest.mark.parametrize('what', VALUES)
def test_any_value_in_hub_metadata_or_state_leaves_the_checkpoint_loadable(what, tmp_path):
    value = VALUES[what]

    class Put(Hook):
        def before_train(self, runner):
            runner.message_hub.update_info('value', value)
            for scheduler in runner.param_schedulers:
                scheduler.value = value
            runner.optim_wrapper.optimizer.param_groups[0]['value'] = value

        def before_save_checkpoint(self, runner, checkpoint):
            checkpoint['meta']['value'] = value

    path = train_resume_and_test(tmp_path, [Put()])
    saved = restricted_load(str(path))
    if can_be_loaded(dict(value=value)):
        assert 'value' in saved['meta'] and 'value' in saved['message_hub']['runtime_info']
    elif what == 'nested':
        assert saved['meta']['value'] == dict(good=1, deeper=dict(good=2))
    else:
        assert 'value' not in saved['meta']


def test_registered_statistics_leave_the_checkpoint_loadable(tmp_path):
    HistoryBuffer.register_statistics(longest)
    try:
        train_resume_and_test(tmp_path)
    finally:
        del HistoryBuffer._statistics_methods['longest']


def longest(self):
    return len(self._log_history)


def test_only_what_cannot_be_loaded_is_left_out_and_named():
    weight = torch.ones(2)
    states = [dict(step=1, anneal=print), dict(step=2)]
    checkpoint = dict(state_dict=OrderedDict(a=weight), param_schedulers=states, mood=Mood())
    assert keep_loadable(checkpoint) == ['param_schedulers[0].anneal', 'mood']
    assert checkpoint.keys() == {'state_dict', 'param_schedulers'}
    assert checkpoint['state_dict']['a'] is weight
    assert checkpoint['param_schedulers'] == [dict(step=1), dict(step=2)]
    assert states[0]['anneal'] is print  # the run's own state is as it was


def test_one_warning_names_what_is_left_out(tmp_path, capsys):
    class Put(Hook):
        def before_save_checkpoint(self, runner, checkpoint):
            checkpoint['meta']['mood'] = Mood()

    train(tmp_path, [Put()], log_level='WARNING')
    assert capsys.readouterr().out.count('no loader accepts it: meta.mood') == 1


def test_all_schedulers_of_the_registry_are_tested():
    assert all(issubclass(kind, _ParamScheduler) for kind in own(PARAM_SCHEDULERS).values())
    assert len(own(PARAM_SCHEDULERS)) > 25
