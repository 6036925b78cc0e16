"""A run always has a complete checkpoint to resume from, and resumes from no other."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader
from toy_training import EPOCHS, VALIDATED, GivenScores, toy_runner

from epsanet_mmdet.checkpoint.record import find_fault
from epsanet_mmdet.engine.hooks import AtomicCheckpointHook
from epsanet_mmdet.errors import CheckpointError


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


def test_every_checkpoint_is_complete_and_last_checkpoint_names_the_last(trained):
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
def test_a_damaged_last_checkpoint_is_skipped(damage, work_dir):
    damage(work_dir)
    assert resumed_epoch(work_dir) == EPOCHS - 1


@pytest.mark.parametrize('content', [None, '', 'epo', '/elsewhere/epoch_3.pth'])
def test_a_useless_last_checkpoint_file_loses_no_progress(content, work_dir):
    pointer = work_dir / 'last_checkpoint'
    pointer.unlink() if content is None else pointer.write_text(content)
    assert resumed_epoch(work_dir) == EPOCHS


def test_without_a_complete_checkpoint_training_starts_from_the_beginning(work_dir):
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


def test_the_old_checkpoint_stays_until_the_new_one_is_complete(tmp_path):
    runner = toy_runner(tmp_path, default_hooks__checkpoint__max_keep_ckpts=1)
    runner.register_hook(KillInSave(2))
    with pytest.raises(Killed):
        runner.train()
    assert names(tmp_path) == ['epoch_1.pth'] and last(tmp_path) == 'epoch_1.pth'
    runner = toy_runner(tmp_path, resume=True, default_hooks__checkpoint__max_keep_ckpts=1)
    runner.train()
    assert names(tmp_path) == [f'epoch_{EPOCHS}.pth']


def test_resuming_removes_outdated_checkpoints_that_a_kill_left(tmp_path, monkeypatch):
    options = dict(default_hooks__checkpoint__max_keep_ckpts=1)

    with monkeypatch.context() as patch:
        patch.setattr(AtomicCheckpointHook, 'remove', lambda self, runner, paths: None)
        runner = toy_runner(tmp_path, **options)
        runner.train()
    assert len(names(tmp_path)) == EPOCHS
    (tmp_path / 'epoch_1.pth').unlink()  # as a run killed after its last checkpoint
    toy_runner(tmp_path, resume=True, **options).train()
    assert names(tmp_path) == [f'epoch_{EPOCHS}.pth']


# Files named in a checkpoint


def craft(path: Path, runtime_info: dict) -> None:
    """Change the content of a checkpoint, as its author may; it has no record."""
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['message_hub']['runtime_info'].update(runtime_info)
    checkpoint['message_hub']['resumed_keys'].update(dict.fromkeys(runtime_info, True))
    torch.save(checkpoint, path)


@pytest.mark.parametrize('kind', ['file', 'folder'])
@pytest.mark.parametrize('save_best', [None, 'auto', 'acc', ['acc', 'loss']], ids=str)
def test_a_crafted_checkpoint_removes_nothing(save_best, kind, work_dir, tmp_path_factory):
    """The attack names files elsewhere and beside the checkpoints as outdated."""
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


def test_a_file_resumed_by_its_path_must_verify(trained, tmp_path):
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


def test_the_best_checkpoint_is_removed_after_a_better_one_is_complete(tmp_path):
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
def test_validation_and_testing_need_no_training(save_best, tmp_path):
    options = {key.replace('val_', 'test_'): value for key, value in VALIDATED.items()}
    options.update(VALIDATED, test_cfg=dict(type='TestLoop'))
    runner = toy_runner(tmp_path, default_hooks__checkpoint__save_best=save_best, **options)
    GivenScores.scores = [0.5, 0.6]
    assert runner.val() == dict(acc=0.5)
    assert runner.test() == dict(acc=0.6)
    assert names(tmp_path) == []
