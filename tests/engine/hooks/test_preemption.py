"""SIGTERM and Ctrl-C save and end a run, and a relaunch ends with the same weights."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from toy_training import EPOCH_LENGTH, EPOCHS, VALIDATED, toy_runner, weights

from epsanet_mmdet.checkpoint.record import find_fault
from epsanet_mmdet.engine.hooks import EXIT_STATUS, preemption
from epsanet_mmdet.engine.hooks.preemption import INTERRUPT_STATUS, outlive_signals

OPTIONS = dict(randomness=dict(seed=5))
WITH_WORKERS = dict(
    VALIDATED,
    train_dataloader__num_workers=1,
    val_dataloader__num_workers=1,
    val_dataloader__persistent_workers=True,
)


@pytest.fixture(autouse=True)
def _in_the_foreground():
    """Handle Ctrl-C even if a shell started this process in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Signal(Hook):
    """Sends this process a signal in an iteration."""

    def __init__(self, iteration: int, number=signal.SIGTERM, stage='before_train_iter') -> None:
        self.iteration = iteration
        self.number = number
        setattr(self, stage, self._send)

    def _send(self, runner, *args, **kwargs):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), self.number)


def send_from_a_shell(number, *processes):
    """Send a signal from a process that is no parent, by a builtin: not every system has a kill."""
    kill = f'kill -{number:d} {" ".join(map(str, processes))}'
    subprocess.run(['sh', '-c', kill], check=True)


def preempted(work_dir, hook, **options):
    runner = toy_runner(work_dir, **OPTIONS, **options)
    runner.register_hook(hook)
    with pytest.raises(SystemExit) as caught:
        runner.train()
    assert caught.value.code == (130 if hook.number == signal.SIGINT else 75)
    return runner


def assert_same(first, second):
    first, second = weights(first), weights(second)
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize('iteration', [0, EPOCH_LENGTH - 1, EPOCH_LENGTH + 1])
def test_a_signal_saves_and_a_relaunch_ends_with_the_same_weights(number, iteration, tmp_path):
    whole = toy_runner(tmp_path / 'whole', **OPTIONS)
    whole.train()
    cut = preempted(tmp_path / 'cut', Signal(iteration, number))
    assert cut.iter == iteration  # that iteration was finished, and no other begun
    saved = tmp_path / 'cut' / 'interrupted.pth'
    assert find_fault(saved) is None
    assert (tmp_path / 'cut' / 'last_checkpoint').read_text() == str(saved)
    resumed = toy_runner(tmp_path / 'cut', resume=True, **OPTIONS)
    resumed.train()
    assert_same(whole, resumed)
    assert not saved.exists()  # a later checkpoint has taken its place


def test_a_job_that_ignores_ctrl_c_keeps_ignoring_it(tmp_path):
    """As in the background of a shell, and those of tools/reproduce.py."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = toy_runner(tmp_path, **OPTIONS)
    runner.register_hook(Signal(1, signal.SIGINT))
    runner.train()
    assert runner.epoch == EPOCHS
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_processes_that_do_not_save_wait_for_the_one_that_does(tmp_path, monkeypatch):
    """Launchers end all processes of a job soon after the first of them."""
    saved = []
    monkeypatch.setattr(
        preemption, 'barrier', lambda: saved.append(find_fault(tmp_path / 'interrupted.pth'))
    )
    preempted(tmp_path, Signal(1))
    assert saved == [None]


def test_a_run_may_be_preempted_many_times(tmp_path):
    whole = toy_runner(tmp_path / 'whole', **OPTIONS)
    whole.train()
    for iteration in range(0, EPOCHS * EPOCH_LENGTH - 1, 2):
        preempted(tmp_path / 'cut', Signal(iteration), resume=iteration > 0)
    resumed = toy_runner(tmp_path / 'cut', resume=True, **OPTIONS)
    resumed.train()
    assert_same(whole, resumed)


def test_it_saves_beside_mmengines_own_checkpoint_hook(tmp_path):
    options = dict(default_hooks__checkpoint=dict(type='CheckpointHook', interval=1))
    preempted(tmp_path, Signal(1), **options)
    resumed = toy_runner(tmp_path, resume=True, **OPTIONS, **options)
    resumed.train()
    assert resumed.iter == EPOCHS * EPOCH_LENGTH


def test_the_signal_handlers_are_restored(tmp_path):
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    toy_runner(tmp_path / 'a').train()
    assert [signal.getsignal(number) for number in numbers] == before
    preempted(tmp_path / 'b', Signal(1))
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_signal_waits_for_accumulated_gradients(tmp_path):
    options = dict(optim_wrapper__accumulative_counts=2)
    runner = preempted(tmp_path, Signal(4), **options)
    assert runner.iter == 5  # iterations 4 and 5 make one step


def test_a_training_with_several_optimizers_goes_through_the_hook():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    runner = SimpleNamespace(optim_wrapper=OptimWrapperDict(only=OptimWrapper(optimizer)))
    runner.epoch = runner.iter = 0
    preemption.PreemptionHook().after_train_iter(runner, 0)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_workers_outlive_a_signal_to_the_whole_process_group(number, tmp_path):
    class ToWorkers(Signal):
        def _send(self, runner, *args, **kwargs):
            if runner.iter == self.iteration:
                workers = [child.pid for child in multiprocessing.active_children()]
                assert workers
                send_from_a_shell(number, *workers, os.getpid())

    options = dict(train_dataloader__num_workers=2)
    preempted(tmp_path, ToWorkers(2, number), **options)
    resumed = toy_runner(tmp_path, resume=True, **OPTIONS, **options)
    resumed.train()
    assert resumed.iter == EPOCHS * EPOCH_LENGTH


def count(queue):
    """Stand in for a busy data worker."""
    outlive_signals()
    queue.put('ready')
    while True:
        time.sleep(0.01)


def test_a_worker_obeys_only_its_own_parent():
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    worker = context.Process(target=count, args=(queue,), daemon=True)
    worker.start()
    assert queue.get(timeout=30) == 'ready'
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGINT):
        send_from_a_shell(number, worker.pid)
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


TWICE = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from mmengine.hooks import Hook
from toy_training import toy_runner


class Twice(Hook):
    def before_train_iter(self, runner, *args, **kwargs):
        if runner.iter == 2:
            for _ in range({count}):
                os.killpg(0, signal.SIGINT)


os.setpgid(0, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
runner = toy_runner({work_dir!r}, train_dataloader__num_workers={workers}, log_level='ERROR')
runner.register_hook(Twice())
runner.train()
"""


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('workers', [0, 2])
def test_ctrl_c_prints_lines_and_no_traceback(workers, count, tmp_path):
    tests = str(Path(__file__).parents[2])
    code = TWICE.format(tests=tests, work_dir=str(tmp_path), count=count, workers=workers)
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == INTERRUPT_STATUS == 130, result.stderr
    assert 'Traceback' not in result.stderr
    assert 'Ctrl-C: ending after this iteration' in result.stderr
    assert ('ending without saving' in result.stderr) == (count == 2)
    assert (tmp_path / 'interrupted.pth').exists() == (count == 1)
    assert not workers_left(tmp_path)


def workers_left(folder: Path) -> list:
    """Find processes of a run, some seconds after it has ended."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = [
            p for p in psutil.process_iter(['cmdline']) if str(folder) in str(p.info['cmdline'])
        ]
        if not left:
            break
        time.sleep(0.2)
    return left


EXIT = """
import sys
sys.path.insert(0, {tests!r})
from toy_training import toy_runner
runner = toy_runner({work_dir!r}, **{options!r}, log_level='ERROR')
runner.train()
"""


def test_a_process_with_persistent_workers_ends(tmp_path):
    """Python ends its daemons with one SIGTERM each, and then waits for them."""
    tests = str(Path(__file__).parents[2])
    code = EXIT.format(tests=tests, work_dir=str(tmp_path), options=WITH_WORKERS)
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120, capture_output=True)
    assert (tmp_path / 'last_checkpoint').exists()


def test_a_signal_during_validation_saves_the_model_not_its_average(tmp_path):
    options = dict(
        default_hooks__checkpoint__interval=100,
        custom_hooks=[
            dict(type='EMAHook', momentum=0.1),
            dict(type='ExactResumeHook'),
            dict(type='PreemptionHook'),
        ],
    )
    options = {**WITH_WORKERS, **options}
    whole = toy_runner(tmp_path / 'whole', **OPTIONS, **options)
    whole.train()
    cut = tmp_path / 'cut'
    preempted(cut, Signal(EPOCH_LENGTH, stage='before_val_iter'), **options)
    resumed = toy_runner(cut, resume=True, **OPTIONS, **options)
    resumed.train()
    assert_same(whole, resumed)


def test_a_ctrl_c_repeated_by_the_launcher_counts_once(tmp_path, monkeypatch):
    """A terminal sends it to all processes, and torchrun then sends it to its own again."""
    monkeypatch.setattr(preemption, 'get_world_size', lambda: 2)
    monkeypatch.setattr(preemption, 'all_reduce', lambda flag, op: flag)

    class Repeated(Signal):
        def _send(self, runner, *args, **kwargs):
            for _ in range(2):
                super()._send(runner)

    preempted(tmp_path, Repeated(2, signal.SIGINT))
    assert find_fault(tmp_path / 'interrupted.pth') is None


def test_a_signal_to_one_of_several_processes_is_enough(tmp_path, monkeypatch):
    """The flag that all ranks reduce decides, here raised by another rank."""
    monkeypatch.setattr(preemption, 'get_world_size', lambda: 2)
    monkeypatch.setattr(preemption, 'all_reduce', lambda flag, op: flag.fill_(EXIT_STATUS))
    runner = toy_runner(tmp_path, **OPTIONS)
    with pytest.raises(SystemExit):
        runner.train()
    assert find_fault(tmp_path / 'interrupted.pth') is None
