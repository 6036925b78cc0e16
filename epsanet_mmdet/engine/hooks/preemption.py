"""Saving and ending on SIGTERM, SIGUSR1 and Ctrl-C."""

import multiprocessing
import os
import os.path as osp
import signal
import threading
import time
from functools import partial
from typing import Any, Callable, Dict, Optional

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process, master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..gradients import at_step
from .atomic_checkpoint import INTERRUPTED, AtomicCheckpointHook

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again later
INTERRUPT_STATUS = 128 + signal.SIGINT  # the status that shells report
ECHO = 1.0  # seconds within which a launcher repeats a Ctrl-C to its processes
STATUS = {
    signal.SIGTERM: EXIT_STATUS,
    signal.SIGUSR1: EXIT_STATUS,
    signal.SIGINT: INTERRUPT_STATUS,
}


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Save a checkpoint and end the process on SIGTERM, SIGUSR1 and Ctrl-C.

    The current iteration of training or validation is finished first; a second Ctrl-C ends the
    process at once. The exit status is 75 after SIGTERM and SIGUSR1, and 130 after Ctrl-C. With
    several processes a signal to one of them is enough: all end after the same iteration. With
    ``--resume`` the run continues there.
    """

    priority = 'LOWEST'  # after the checkpoints and moving averages of the same iteration

    def __init__(self) -> None:
        self._status = 0  # exit status; 0 to continue
        self._interrupted = self._echo = 0.0
        self._old_handlers: Dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        self._status = 0
        self._echo = ECHO if get_world_size() > 1 else 0
        for number in STATUS:
            if number == signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN:
                continue  # a background job, or one whose parent handles Ctrl-C
            try:
                self._old_handlers[number] = signal.signal(number, self._receive)
            except ValueError:  # not the main thread, which handles all signals
                break
        for loop in (runner.train_loop, runner.val_loop):
            loader = getattr(loop, 'dataloader', None)
            init = getattr(loader, 'worker_init_fn', None)
            if loader is not None and getattr(init, 'func', None) is not _init_worker:
                loader.worker_init_fn = partial(_init_worker, init)

    def after_train(self, runner: Runner) -> None:
        self._restore_handlers()
        self._remove_interrupted(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._remove_interrupted(runner)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        if at_step(runner.optim_wrapper):  # only ExactResumeHook stores accumulated gradients
            self._leave_if_wanted(runner, dict(epoch=runner.epoch, iter=runner.iter + 1))

    def after_val_iter(self, runner: Runner, *args, **kwargs) -> None:
        if self._old_handlers:  # not in a validation without training
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
            if isinstance(hook, EMAHook):  # which put the averages into the model
                hook.after_val_epoch(runner)
        hook = _checkpoint_hook(runner) or AtomicCheckpointHook(out_dir=runner.work_dir)
        hook.save_and_point(runner, INTERRUPTED, done)
        barrier()  # launchers end all processes soon after the first, and only one has to save
        runner.logger.warning(
            f'{"Ctrl-C" if status == INTERRUPT_STATUS else "SIGTERM or SIGUSR1"}: saved epoch '
            f'{done["epoch"]}, iteration {done["iter"]}, and ending with status {status}; start '
            'again with --resume to continue'
        )
        self._restore_handlers()
        raise SystemExit(status)

    def _restore_handlers(self) -> None:
        while self._old_handlers:
            number, handler = self._old_handlers.popitem()
            signal.signal(number, handler)

    @master_only
    def _remove_interrupted(self, runner: Runner) -> None:
        """Remove the checkpoint of a preemption once there is a later one."""
        hook = _checkpoint_hook(runner)
        if hook is None or '://' in str(hook.out_dir):
            return
        interrupted = osp.join(hook.out_dir, INTERRUPTED)
        if hook.last_ckpt not in (None, interrupted):
            hook.remove(runner, [interrupted])


def _checkpoint_hook(runner: Runner) -> Optional[AtomicCheckpointHook]:
    return next((hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)), None)


def _init_worker(init: Optional[Callable], worker: int) -> None:
    if init is not None:
        init(worker)
    outlive_signals()


def outlive_signals() -> None:
    """Make a data worker ignore Ctrl-C and SIGUSR1, and SIGTERM unless its own parent sends it.

    Schedulers and terminals send these signals to every process of a job, and a worker that ends
    would end the run before it is saved.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    parent = multiprocessing.parent_process().pid
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)


def end_at_once() -> None:
    """End this process and its data workers without running any more Python code."""
    _print(f'interrupted twice: ending without saving, with status {INTERRUPT_STATUS}')
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(INTERRUPT_STATUS)


def _print(line: str) -> None:
    if is_main_process():
        os.write(2, f'\n{line}\n'.encode())  # print is not safe in a signal handler
