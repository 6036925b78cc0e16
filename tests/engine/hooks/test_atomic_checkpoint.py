"""A run always has a whole checkpoint to go on from, and goes on from no other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import METRICS
from mmengine.runner import CheckpointLoader
from toy_training import EPOCH_LENGTH, EPOCHS, toy_runner

from epsanet_mmdet.checkpoint.record import find_fault
from epsanet_mmdet.engine import disk_space
from epsanet_mmdet.engine.hooks import AtomicCheckpointHook
from epsanet_mmdet.errors import CheckpointError, StorageError

ITERATIONS = EPOCHS * EPOCH_LENGTH


@METRICS.register_module()
class GivenScores:
    """Validation results that are given beforehand."""

    scores: list = []

    def __init__(self, **_):
        self.dataset_meta = None
        self.prefix = None

    def process(self, *args, **kwargs):
        pass

    def evaluate(self, size):
        score = GivenScores.scores.pop(0)
        return score if isinstance(score, dict) else dict(acc=score)


VALIDATED = dict(
    val_dataloader=dict(
        dataset=dict(type='NoisyData', count=2), sampler=dict(type='DefaultSampler')
    ),
    val_cfg=dict(type='ValLoop'),
    val_evaluator=dict(type='GivenScores'),
    model__type='ValidatedToy',
)


def names(folder: Path, pattern: str = '*.pth') -> list:
    return sorted(path.name for path in folder.glob(pattern))


def last(folder: Path) -> str:
    return Path((folder / 'last_checkpoint').read_text()).name


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('trained')
    toy_runner(folder, randomness=dict(seed=0)).train()
    return folder


@pytest.fixture
def work_dir(trained, tmp_path) -> Path:
    """A finished run's folder, to be damaged."""
    for n, path in enumerate(sorted(trained.glob('*.pth'))):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (n, n))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / f'epoch_{EPOCHS}.pth'))
    return tmp_path


def resumed_epoch(work_dir: Path) -> int:
    runner = toy_runner(work_dir, resume=True)
    start = []

    class Note(Hook):
        def before_train(self, runner):
            start.append(runner.epoch)

    runner.register_hook(Note())
    runner.train()
    assert runner.epoch == EPOCHS
    return start[0]


def test_every_checkpoint_is_whole_and_the_last_is_named(trained):
    assert names(trained) == [f'epoch_{n}.pth' for n in range(1, EPOCHS + 1)]
    assert not any(find_fault(path) for path in trained.glob('*.pth'))
    assert last(trained) == f'epoch_{EPOCHS}.pth'
    assert not names(trained, '.*.partial')


def damage_truncated(folder: Path) -> None:
    path = folder / f'epoch_{EPOCHS}.pth'
    path.write_bytes(path.read_bytes()[:-100])


def damage_empty(folder: Path) -> None:
    (folder / f'epoch_{EPOCHS}.pth').write_bytes(b'')


def damage_missing(folder: Path) -> None:
    (folder / f'epoch_{EPOCHS}.pth').unlink()


@pytest.mark.parametrize('damage', [damage_truncated, damage_empty, damage_missing])
def test_a_damaged_last_checkpoint_is_passed_over(damage, work_dir):
    damage(work_dir)
    assert resumed_epoch(work_dir) == EPOCHS - 1


@pytest.mark.parametrize('content', [None, '', 'epo', '/elsewhere/epoch_3.pth'])
def test_a_last_checkpoint_file_that_says_nothing_loses_nothing(content, work_dir):
    pointer = work_dir / 'last_checkpoint'
    pointer.unlink() if content is None else pointer.write_text(content)
    assert resumed_epoch(work_dir) == EPOCHS


def test_with_no_whole_checkpoint_training_begins_anew(work_dir):
    for path in work_dir.glob('*.pth'):
        path.write_bytes(b'PK')
    assert resumed_epoch(work_dir) == 0


def test_best_checkpoints_and_partial_files_are_not_resumed_from(work_dir):
    whole = (work_dir / 'epoch_1.pth').read_bytes()
    for path in list(work_dir.glob('*.pth')):
        path.unlink()
    (work_dir / 'best_coco_bbox_mAP_epoch_2.pth').write_bytes(whole)
    (work_dir / '.epoch_3.pth.99999999.partial').write_bytes(whole)
    assert resumed_epoch(work_dir) == 0
    assert not names(work_dir, '.*.partial')


class Killed(BaseException):
    pass


class KillInSave(Hook):
    """Ends the run when a certain checkpoint is about to be written."""

    def __init__(self, save: int) -> None:
        self.left = save

    def before_save_checkpoint(self, runner, checkpoint):
        self.left -= 1
        if not self.left:
            raise Killed


def test_the_old_checkpoint_stays_until_the_new_one_is_whole(tmp_path):
    runner = toy_runner(tmp_path, default_hooks__checkpoint__max_keep_ckpts=1)
    runner.register_hook(KillInSave(2))
    with pytest.raises(Killed):
        runner.train()
    assert names(tmp_path) == ['epoch_1.pth'] and last(tmp_path) == 'epoch_1.pth'
    runner = toy_runner(tmp_path, resume=True, default_hooks__checkpoint__max_keep_ckpts=1)
    runner.train()
    assert names(tmp_path) == [f'epoch_{EPOCHS}.pth']


def test_what_a_kill_left_to_be_removed_is_removed_on_resuming(tmp_path, monkeypatch):
    options = dict(default_hooks__checkpoint__max_keep_ckpts=1)

    with monkeypatch.context() as patch:
        patch.setattr(AtomicCheckpointHook, 'remove', lambda self, runner, paths: None)
        runner = toy_runner(tmp_path, **options)
        runner.train()
    assert len(names(tmp_path)) == EPOCHS
    (tmp_path / 'epoch_1.pth').unlink()  # as a run killed after its last checkpoint
    toy_runner(tmp_path, resume=True, **options).train()
    assert names(tmp_path) == [f'epoch_{EPOCHS}.pth']


# What a checkpoint says of files


def craft(path: Path, runtime_info: dict) -> None:
    """Change what a checkpoint holds, as its author may; no record is given away with it."""
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['message_hub']['runtime_info'].update(runtime_info)
    checkpoint['message_hub']['resumed_keys'].update(dict.fromkeys(runtime_info, True))
    torch.save(checkpoint, path)


@pytest.mark.parametrize('kind', ['file', 'folder'])
@pytest.mark.parametrize('save_best', [None, 'auto', 'acc', ['acc', 'loss']], ids=str)
def test_a_crafted_checkpoint_removes_nothing(save_best, kind, work_dir, tmp_path_factory):
    """The attack: the names of things elsewhere, and beside the checkpoints, to be removed."""
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    for folder in (elsewhere / 'photos', work_dir / 'notes'):
        folder.mkdir()
        (folder / 'a.jpg').write_text('irreplaceable')
    for file in (elsewhere / 'thesis.pth', work_dir / 'notes.txt'):
        file.write_text('irreplaceable')
    kept = [*elsewhere.rglob('*'), *work_dir.rglob('notes*')]
    target = str(elsewhere / ('thesis.pth' if kind == 'file' else 'photos'))
    path = work_dir / f'epoch_{EPOCHS - 1}.pth'
    info = dict(
        outdated_ckpts=[str(path) for path in kept],
        keep_ckpt_ids=[f'../{elsewhere.name}/thesis', *map(str, kept), 'notes', None, 1, 2],
        last_ckpt=target,
        best_ckpt=target,
        best_ckpt_acc=target,
        best_ckpt_loss=target,
        best_score=-1.0,
        best_score_acc=-1.0,
        best_score_loss=9.0,
    )
    craft(path, info)
    GivenScores.scores = [dict(acc=0.5, loss=1.0)]
    checkpoint = dict(max_keep_ckpts=1, save_best=save_best, filename_tmpl='{}.pth')
    (work_dir / 'epoch_1.pth').rename(work_dir / '1.pth')
    runner = toy_runner(
        work_dir,
        resume=True,
        load_from=str(path),
        default_hooks__checkpoint=checkpoint,
        **VALIDATED,
    )
    runner.train()
    assert runner.train_loop.epoch == EPOCHS and names(work_dir, '[0-9].pth') == [f'{EPOCHS}.pth']
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize('kind', ['folder', 'file', 'URL', 'parent'])
def test_last_checkpoint_is_not_followed_elsewhere(kind, work_dir, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    bait = elsewhere / 'other.pth'
    bait.write_bytes((work_dir / 'epoch_1.pth').read_bytes())
    named = dict(
        folder=elsewhere,
        file=bait,
        URL='http://localhost:9/other.pth',
        parent=f'{work_dir}/../{elsewhere.name}/other.pth',
    )[kind]
    (work_dir / 'last_checkpoint').write_text(str(named))
    loaded = []
    load = CheckpointLoader.load_checkpoint
    monkeypatch.setattr(
        CheckpointLoader,
        'load_checkpoint',
        lambda name, *a, **k: loaded.append(name) or load(name, *a, **k),
    )
    assert resumed_epoch(work_dir) == EPOCHS
    assert loaded == [str(work_dir / f'epoch_{EPOCHS}.pth')]


def test_a_run_whose_folder_was_moved_is_resumed_there(trained, tmp_path):
    moved = tmp_path / 'moved'
    shutil.copytree(trained, moved)
    (moved / 'last_checkpoint').write_text(str(trained / f'epoch_{EPOCHS - 1}.pth'))
    assert resumed_epoch(moved) == EPOCHS - 1


def test_a_file_that_is_named_to_be_resumed_must_verify(trained, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(trained, folder)
    path = folder / 'epoch_2.pth'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    for resume in (True, False):
        runner = toy_runner(tmp_path / 'new', load_from=str(path), resume=resume)
        with pytest.raises(CheckpointError, match=f"'{path}' has changed since it was written"):
            runner.train()


def test_the_best_checkpoint_of_a_resumed_run_is_found_by_its_name(tmp_path):
    options = dict(
        VALIDATED, default_hooks__checkpoint=dict(save_best='acc', rule='greater', interval=1)
    )
    GivenScores.scores = [0.5, 0.4, 0.3]
    toy_runner(tmp_path, train_cfg__max_epochs=EPOCHS, **options).train()
    assert names(tmp_path, 'best*') == ['best_acc_epoch_1.pth']
    other = tmp_path / 'best_acc_epoch_99.pth'  # beyond what the resumed run has done
    other.write_bytes(b'of another run')
    GivenScores.scores = [0.9]
    toy_runner(tmp_path, resume=True, train_cfg__max_epochs=EPOCHS + 1, **options).train()
    assert names(tmp_path, 'best*') == ['best_acc_epoch_4.pth', other.name]


def test_the_best_checkpoint_is_removed_after_a_better_one_is_whole(tmp_path):
    options = dict(
        VALIDATED,
        default_hooks__checkpoint=dict(save_best='acc', rule='greater', max_keep_ckpts=1),
    )
    GivenScores.scores = [0.5, 0.7]
    runner = toy_runner(tmp_path, **options)
    # Saves: epoch 1, best 1, epoch 1 again, epoch 2, and the best of epoch 2.
    runner.register_hook(KillInSave(5))
    with pytest.raises(Killed):
        runner.train()
    assert names(tmp_path, 'best*') == ['best_acc_epoch_1.pth']
    GivenScores.scores = [0.9]
    toy_runner(tmp_path, resume=True, **options).train()
    assert names(tmp_path) == [f'best_acc_epoch_{EPOCHS}.pth', f'epoch_{EPOCHS}.pth']


@pytest.mark.parametrize('save_best', [None, 'acc'])
def test_a_validation_or_test_alone_needs_no_training(save_best, tmp_path):
    options = {key.replace('val_', 'test_'): value for key, value in VALIDATED.items()}
    options.update(VALIDATED, test_cfg=dict(type='TestLoop'))
    runner = toy_runner(tmp_path, default_hooks__checkpoint__save_best=save_best, **options)
    GivenScores.scores = [0.5, 0.6]
    assert runner.val() == dict(acc=0.5)
    assert runner.test() == dict(acc=0.6)
    assert names(tmp_path) == []


# Disk


def test_no_room_for_a_checkpoint_stops_the_run_before_it_trains(tmp_path, monkeypatch):
    usage = disk_space.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(disk_space.shutil, 'disk_usage', lambda folder: usage)
    runner = toy_runner(tmp_path)
    with pytest.raises(StorageError, match=f"no room for a checkpoint in '{tmp_path}'"):
        runner.train()
    assert runner.iter == 0


def test_too_little_room_for_all_of_them_is_a_warning(tmp_path, monkeypatch):
    runner = toy_runner(tmp_path)
    size = disk_space.checkpoint_bytes(runner.model, 'SGD')
    usage = disk_space.shutil.disk_usage(tmp_path)._replace(free=2 * size)
    monkeypatch.setattr(disk_space.shutil, 'disk_usage', lambda folder: usage)
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', warnings.append)
    runner.train()
    assert any(f'the {EPOCHS} checkpoints of this run will not fit' in w for w in warnings)


@pytest.mark.parametrize('optimizer', ['SGD', 'AdamW'])
def test_the_estimated_size_is_that_of_the_tensors_in_a_checkpoint(optimizer, tmp_path):
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


def test_a_disk_that_fills_up_ends_in_one_line_and_loses_no_checkpoint(work_dir):
    before = {path.name: path.read_bytes() for path in work_dir.glob('*.pth')}
    tests = str(Path(__file__).parents[2])
    result = subprocess.run(
        [sys.executable, '-c', FULL_DISK.format(tests=tests, work_dir=str(work_dir))],
        capture_output=True,
        text=True,
        cwd=Path(tests).parent,
    )
    assert result.returncode == 1, result.stderr
    assert f"error: cannot write to '{work_dir}': the file size limit" in result.stderr
    assert 'Traceback' not in result.stderr
    assert {path.name: path.read_bytes() for path in work_dir.glob('*.pth')} == before
    assert last(work_dir) == f'epoch_{EPOCHS}.pth' and not names(work_dir, '.*.partial')


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
def test_a_disk_that_fills_up_while_logging_ends_in_one_line(log, tmp_path):
    tests = Path(__file__).parents[2]
    code = FULL_LOG.format(tests=str(tests), work_dir=str(tmp_path), log=log)
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=tests.parent
    )
    assert result.returncode == 1, result.stderr
    assert 'Traceback' not in result.stderr and 'Logging error' not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    assert line.startswith(f"error: cannot write to '{tmp_path}/")
    assert 'the file size limit is reached' in line
