"""A job's folder belongs to one process and to the settings of the job."""

import json
import os
from functools import partial

import pytest
from finished_jobs import finish_jobs
from tiny_plan import write_plan

from epsanet_mmdet.errors import ConfigError, DataError
from epsanet_mmdet.experiments import prepare_plan, worker
from epsanet_mmdet.experiments.job import Locked, last_checkpoint, lock


@pytest.fixture(scope='module')
def plan(tmp_path_factory):
    """A plan whose jobs are done."""
    path = write_plan(tmp_path_factory.mktemp('plan'))
    finish_jobs(prepare_plan(str(path), str(path.parent / 'work')))
    return path


@pytest.mark.parametrize(
    ('changes', 'key'),
    [
        ({'training.epochs': 4}, 'config.train_cfg.max_epochs'),
        ({'overrides': {'optim_wrapper.optimizer.lr': 1.0}}, 'optimizer.lr'),
        ({'launcher': dict(type='pytorch', gpus=2)}, 'processes'),
    ],
    ids=str,
)
def test_jobs_with_other_settings_are_not_mixed(changes, key, plan):
    stored = plan.parent / 'work' / 'senet' / 'seed0' / 'settings.json'
    before = stored.read_bytes()
    with pytest.raises(ConfigError, match=f'other settings: .*{key}.*--work-dir'):
        prepare_plan(str(plan), str(plan.parent / 'work'), changes)
    assert stored.read_bytes() == before


def test_a_damaged_result_is_named(tmp_path):
    prepared = prepare_plan(str(write_plan(tmp_path)), str(tmp_path / 'work'))
    finish_jobs(prepared)
    (prepared.jobs[0].folder / 'result.json').write_text('{"metr')
    with pytest.raises(DataError, match='result.json'):
        assert prepared.pending


def test_a_locked_folder_is_refused_until_it_is_free(tmp_path):
    descriptor = lock(tmp_path / 'job')
    with pytest.raises(DataError, match='another process'):
        lock(tmp_path / 'job', seconds=0.3)
    os.close(descriptor)
    os.close(lock(tmp_path / 'job', seconds=0))


def test_a_job_of_slurm_waits_for_the_lock_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, 'lock', partial(lock, seconds=0))
    descriptor = lock(tmp_path)
    with pytest.raises(Locked, match='is being used by another process'):
        worker.run_job(tmp_path, 'slurm')
    os.close(descriptor)


def test_the_last_checkpoint_is_found_in_a_moved_folder(tmp_path):
    train = tmp_path / 'moved' / 'train'
    train.mkdir(parents=True)
    (train / 'last_checkpoint').write_text('/work/before/train/epoch_3.pth')
    assert last_checkpoint(tmp_path / 'moved') is None
    (train / 'epoch_3.pth').touch()
    assert last_checkpoint(tmp_path / 'moved') == str(train / 'epoch_3.pth')


def test_a_prepared_job_has_its_settings_and_configs(plan, tmp_path):
    job = prepare_plan(str(plan), str(tmp_path)).jobs[0]
    job.prepare()
    assert json.loads((job.folder / 'settings.json').read_text()) == job.settings
    test_config = (job.folder / 'test_config.py').read_text()
    assert f"outfile_prefix='{job.folder}/test/results'" in test_config.replace('"', "'")
    assert 'outfile_prefix' not in (job.folder / 'config.py').read_text()
