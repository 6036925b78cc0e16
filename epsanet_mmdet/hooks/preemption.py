"""Saving and leaving when the machine is wanted back."""

import os.path as osp
import signal
from functools import partial
from typing import Any, Dict, Optional

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size, master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..seeded_batches import WorkerSeeds, outlive_sigterm
from .atomic_checkpoint import INTERRUPTED, AtomicCheckpointHook

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again later
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preempted(SystemExit):
    """Ends the process with :data:`EXIT_STATUS`, after the state is saved."""

    def __init__(self) -> None:
        super().__init__(EXIT_STATUS)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Saves a checkpoint and ends the process with status 75 on SIGTERM or SIGUSR1.

    The iteration that runs is finished first, or the validation's. With several processes one
    that gets the signal is enough: all save and end after the same iteration. Started again
    with ``--resume``, the run goes on there.
    """

    priority = 'LOWEST'  # after the checkpoints and moving averages of the same iteration

    def __init__(self) -> None:
        self._received: Optional[int] = None
        self._old_handlers: Dict[int, Any] = {}
        self._saved_iteration = -1

    def before_train(self, runner: Runner) -> None:
        self._received = None
        for number in SIGNALS:
            try:
                self._old_handlers[number] = signal.signal(number, self._receive)
            except ValueError:  # not the main thread: whoever runs it there sees to signals
                break
        for loop in (runner.train_loop, runner.val_loop):
            loader = getattr(loop, 'dataloader', None)
            if loader is not None and not isinstance(loader.worker_init_fn, WorkerSeeds):
                loader.worker_init_fn = partial(_init_worker, loader.worker_init_fn)

    def after_train(self, runner: Runner) -> None:
        self._restore_handlers()
        self._remove_interrupted(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._remove_interrupted(runner)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        # A signal waits for gradients that are being accumulated: no checkpoint holds them.
        between_steps = getattr(runner.optim_wrapper, 'should_update', lambda: True)()
        if between_steps and self._wanted_by_any():
            self._leave(runner, dict(epoch=runner.epoch, iter=runner.iter + 1))

    def after_val_iter(self, runner: Runner, *args, **kwargs) -> None:
        if self._old_handlers and self._wanted_by_any():  # not in a validation by itself
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):  # it has put the averages in the model's place
                    hook.after_val_epoch(runner)
            self._leave(runner, dict(epoch=runner.epoch, iter=runner.iter))

    def _receive(self, number: int, _) -> None:
        self._received = number

    def _wanted_by_any(self) -> bool:
        if get_world_size() == 1:
            return self._received is not None
        flag = torch.tensor(int(self._received is not None), device=get_device())
        all_reduce(flag, 'max')
        return bool(flag)

    def _leave(self, runner: Runner, done: Dict[str, int]) -> None:
        hook = _checkpoint_hook(runner) or AtomicCheckpointHook(out_dir=runner.work_dir)
        hook.save_and_point(runner, INTERRUPTED, done)
        name = signal.Signals(self._received).name if self._received else 'a signal of another rank'
        runner.logger.warning(
            f'{name}: saved epoch {done["epoch"]}, iteration {done["iter"]}, and ending with '
            f'status {EXIT_STATUS}; start again with --resume to go on'
        )
        self._restore_handlers()
        raise Preempted

    def _restore_handlers(self) -> None:
        while self._old_handlers:
            number, handler = self._old_handlers.popitem()
            signal.signal(number, handler)

    @master_only
    def _remove_interrupted(self, runner: Runner) -> None:
        """Remove the checkpoint of a preemption when a later one is there."""
        hook = _checkpoint_hook(runner)
        if hook is None or '://' in str(hook.out_dir):
            return
        interrupted = osp.join(hook.out_dir, INTERRUPTED)
        if hook.last_ckpt not in (None, interrupted):
            hook.remove_outdated(runner, [interrupted])


def _checkpoint_hook(runner: Runner) -> Optional[AtomicCheckpointHook]:
    return next((hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)), None)


def _init_worker(worker_init_fn, worker: int) -> None:
    if worker_init_fn is not None:
        worker_init_fn(worker)
    outlive_sigterm()
