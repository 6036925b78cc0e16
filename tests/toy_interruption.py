"""The training of :mod:`toy_training`, interrupted after any iteration."""

import pytest
import torch
from mmengine.hooks import Hook
from toy_training import toy_runner, weights

from epsanet_mmdet.engine.hooks import AtomicCheckpointHook


class Interrupted(Exception):
    pass


class Interrupt(Hook):
    """Save after an iteration and end the run there."""

    priority = 'LOWEST'

    def __init__(self, after: int) -> None:
        self.after = after

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.after:
            hook = next(hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook))
            done = dict(epoch=runner.epoch, iter=runner.iter + 1)
            hook.save_and_point(runner, 'interrupted.pth', done)
            raise Interrupted


def train(work_dir, interrupt_after=None, **options):
    runner = toy_runner(work_dir, **options)
    if interrupt_after is None:
        runner.train()
        return runner
    runner.register_hook(Interrupt(interrupt_after))
    with pytest.raises(Interrupted):
        runner.train()
    return runner


def assert_same(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
