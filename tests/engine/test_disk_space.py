"""A full or read-only disk is reported before training, or ends it in one line."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_training import EPOCHS, toy_runner

from epsanet_mmdet.engine import disk_space
from epsanet_mmdet.errors import StorageError


def test_no_room_for_a_checkpoint_stops_the_run_before_it_trains(tmp_path, monkeypatch):
    usage = disk_space.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(disk_space.shutil, 'disk_usage', lambda folder: usage)
    runner = toy_runner(tmp_path)
    with pytest.raises(StorageError, match=f"no room for a checkpoint in '{tmp_path}'"):
        runner.train()
    assert runner.iter == 0


def test_too_little_room_for_all_checkpoints_is_a_warning(tmp_path, monkeypatch):
    runner = toy_runner(tmp_path)
    size = disk_space.checkpoint_bytes(runner.model, 'SGD')
    usage = disk_space.shutil.disk_usage(tmp_path)._replace(free=2 * size)
    monkeypatch.setattr(disk_space.shutil, 'disk_usage', lambda folder: usage)
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', warnings.append)
    runner.train()
    assert any(f'the {EPOCHS} checkpoints of this run will not fit' in w for w in warnings)


@pytest.mark.parametrize('optimizer', ['SGD', 'AdamW'])
def test_the_estimated_size_equals_that_of_the_tensors_in_a_checkpoint(optimizer, tmp_path):
    kind = dict(type=optimizer, lr=0.01)
    kind.update(momentum=0.9) if optimizer == 'SGD' else None
    runner = toy_runner(tmp_path, optim_wrapper=dict(optimizer=kind, _delete_=True))
    runner.train()
    saved = torch.load(tmp_path / f'epoch_{EPOCHS}.pth', weights_only=False)
    tensors = list(saved['state_dict'].values())
    for state in saved['optimizer']['state'].values():
        tensors += [v for k, v in state.items() if torch.is_tensor(v) and k != 'step']
    exact = sum(t.numel() * t.element_size() for t in tensors)
    assert disk_space.checkpoint_bytes(runner.model, optimizer) == exact


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from mmengine.structures import BaseDataElement
from toy_training import toy_runner
from epsanet_mmdet.utils.command_line import run_command
runner = toy_runner({work_dir!r}, resume=True, train_cfg__max_epochs=9, log_level='ERROR')
size = max(p.stat().st_size for p in __import__('pathlib').Path({work_dir!r}).glob('*.pth'))
resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
run_command(runner.train)
"""


def contents(folder: Path) -> dict:
    files = [*folder.glob('*.pth'), *folder.glob('.*.partial'), folder / 'last_checkpoint']
    return {path.name: path.read_bytes() for path in files}


def test_a_disk_that_fills_up_ends_the_run_in_one_line_and_loses_no_checkpoint(tmp_path):
    toy_runner(tmp_path, randomness=dict(seed=0)).train()
    before = contents(tmp_path)
    tests = str(Path(__file__).parents[1])
    result = subprocess.run(
        [sys.executable, '-c', FULL_DISK.format(tests=tests, work_dir=str(tmp_path))],
        capture_output=True,
        text=True,
        cwd=Path(tests).parent,
    )
    assert result.returncode == 1, result.stderr
    assert f"error: cannot write to '{tmp_path}': the file size limit" in result.stderr
    assert 'Traceback' not in result.stderr
    assert contents(tmp_path) == before


FULL_LOG = """
import os, resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from mmengine.hooks import Hook
from toy_training import toy_runner
from epsanet_mmdet.utils.command_line import run_command


class Full(Hook):
    def before_train_epoch(self, runner):
        size = max(file.stat().st_size for file in Path({work_dir!r}).rglob('*.log'))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 400, resource.RLIM_INFINITY))


backends = [dict(type='LocalVisBackend')] if {log!r} == 'scalars' else []
runner = toy_runner(
    {work_dir!r},
    log_level='INFO' if {log!r} == 'text' else 'ERROR',
    visualizer=dict(type='Visualizer', vis_backends=backends, _delete_=True),
    default_hooks__logger__interval=1,
    default_hooks__checkpoint__interval=100,
    train_cfg__max_epochs=99,
)
runner.register_hook(Full())
run_command(runner.train)
"""


@pytest.mark.parametrize('log', ['text', 'scalars'])
def test_a_disk_that_fills_up_while_logging_ends_the_run_in_one_line(log, tmp_path):
    tests = Path(__file__).parents[1]
    code = FULL_LOG.format(tests=str(tests), work_dir=str(tmp_path), log=log)
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=tests.parent
    )
    assert result.returncode == 1, result.stderr
    assert 'Traceback' not in result.stderr and 'Logging error' not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    assert line.startswith(f"error: cannot write to '{tmp_path}/")
    assert 'the file size limit is reached' in line
