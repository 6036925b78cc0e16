"""Saving and ending when the machine is wanted back, or on Ctrl-C."""

import multiprocessing
import os
import os.path as osp
import signal
import time
from functools import partial
from typing import Any, Dict, Optional

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size, is_main_process, master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..seeding import WorkerSeeds, outlive_signals
from .atomic_checkpoint import INTERRUPTED, AtomicCheckpointHook

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again later
INTERRUPT_STATUS = 128 + signal.SIGINT  # as shells report it
ECHO = 1.0  # seconds in which a launcher hands on a Ctrl-C that its processes have had too
STATUS = {
    signal.SIGTERM: EXIT_STATUS,
    signal.SIGUSR1: EXIT_STATUS,
    signal.SIGINT: INTERRUPT_STATUS,
}


class Preempted(SystemExit):
    """Ends the process after the state is saved."""


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Saves a checkpoint and ends the process on SIGTERM, SIGUSR1 and Ctrl-C.

    The status is 75 after SIGTERM and SIGUSR1, and 130 after Ctrl-C (SIGINT). The current
    iteration, or that of the validation, is finished first; a second Ctrl-C ends the process at
    once. With several processes one that receives the signal is enough: all save and end after
    the same iteration. Started again with ``--resume``, the run continues there.
    """

    priority = 'LOWEST'  # after the checkpoints and moving averages of the same iteration

    def __init__(self) -> None:
        self._status = 0  # to end with; 0 to continue
        self._interrupted = self._echo = 0.0
        self._old_handlers: Dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        self._status = 0
        self._echo = ECHO if get_world_size() > 1 else 0
        for number in STATUS:
            if number == signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN:
                continue  # a job in the background, or of a program that handles Ctrl-C for it
            try:
                self._old_handlers[number] = signal.signal(number, self._receive)
            except ValueError:  # not the main thread, which is the one that handles signals
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
        if between_steps:
            self._leave_if_wanted(runner, dict(epoch=runner.epoch, iter=runner.iter + 1))

    def after_val_iter(self, runner: Runner, *args, **kwargs) -> None:
        if self._old_handlers:  # or it is a validation without a training
            done = dict(epoch=runner.epoch, iter=runner.iter)
            self._leave_if_wanted(runner, done, validating=True)

    def _receive(self, number: int, _) -> None:
        now = time.monotonic()
        if number == signal.SIGINT and self._status != INTERRUPT_STATUS:
            self._interrupted = now
            _print('Ctrl-C: ending after this iteration; press it again to end without saving')
        elif number == signal.SIGINT and now - self._interrupted >= self._echo:
            end_at_once()
        self._status = max(self._status, STATUS[number])

    def _leave_if_wanted(
        self, runner: Runner, done: Dict[str, int], validating: bool = False
    ) -> None:
        status = self._status
        if get_world_size() > 1:
            flag = torch.tensor(status, device=get_device())
            all_reduce(flag, 'max')
            status = int(flag)
        if not status:
            return
        for hook in runner.hooks if validating else ():
            if isinstance(hook, EMAHook):  # it has put the averages in the model's place
                hook.after_val_epoch(runner)
        hook = _checkpoint_hook(runner) or AtomicCheckpointHook(out_dir=runner.work_dir)
        hook.save_and_point(runner, INTERRUPTED, done)
        runner.logger.warning(
            f'{"Ctrl-C" if status == INTERRUPT_STATUS else "SIGTERM or SIGUSR1"}: saved epoch '
            f'{done["epoch"]}, iteration {done["iter"]}, and ending with status {status}; start '
            'again with --resume to continue'
        )
        self._restore_handlers()
        raise Preempted(status)

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
            hook.remove(runner, [interrupted])


def _checkpoint_hook(runner: Runner) -> Optional[AtomicCheckpointHook]:
    return next((hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)), None)


def _init_worker(worker_init_fn, worker: int) -> None:
    if worker_init_fn is not None:
        worker_init_fn(worker)
    outlive_signals()


def end_at_once() -> None:
    """End this process and its data workers without any further step of Python's."""
    _print(f'interrupted twice: ending without saving, with status {INTERRUPT_STATUS}')
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(INTERRUPT_STATUS)


def _print(line: str) -> None:
    if is_main_process():
        os.write(2, f'\n{line}\n'.encode())  # print is not for signal handlers
