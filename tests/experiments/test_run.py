"""A plan runs every job once, through failures, interruptions and kills."""

import csv
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

import pytest
from tiny_plan import TOOL, reproduce, write_config, write_plan

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.experiments import prepare_plan, run_plan
from epsanet_mmdet.experiments.job import lock

STATUS_OF_INTERRUPTION = 75
KILLS = 10


def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """A plan whose first variant fails beside the second, its folder, and the finished process."""
    folder = tmp_path_factory.mktemp('done')
    wrong = "custom_hooks = [dict(type='NoSuchHook')]"
    rows = [
        dict(name='bad', config=write_config(folder, 'bad', more=wrong)),
        dict(name='good', config=write_config(folder, 'good')),
    ]
    plan = write_plan(folder, rows=rows, allow=['custom_hooks'], baseline='good')
    return plan, folder / 'work', reproduce(plan, folder / 'work', '--jobs', '2')


def test_a_job_is_trained_tested_and_measured(done):
    folder = done[1] / 'good' / 'seed0'
    result = read(folder / 'result.json')
    assert result['checkpoint'] == 'epoch_3.pth'
    assert set(result['metrics']) == {'bbox', 'segm'}
    assert {'torch', 'mmdet', 'numpy', 'python'} <= set(result['versions'])
    assert result['hardware'] and result['processes'] == 1 and result['seed'] == 0
    assert set(read(folder / 'seconds.json')) == {'train', 'test'}
    for name in ('results.bbox.json', 'results.segm.json'):
        assert isinstance(read(folder / 'test' / name), list)
    _, good = read(done[1] / 'table.json')['comparisons'][0]['rows']
    assert 0 < good['image_seconds'] and 0 < good['iteration_seconds'] < good['seconds']


def test_after_a_failed_job_the_others_still_run(done):
    process = done[2]
    assert process.returncode == 1
    failure = next(line for line in process.stdout.splitlines() if 'failed' in line)
    assert 'job 1 of 2 (bad, seed 0)' in failure and 'NoSuchHook' in failure
    assert (done[1] / 'bad' / 'seed0' / 'console.log').is_file()
    assert 'job 2 of 2 (good, seed 0): done' in process.stdout
    assert 'Traceback' not in process.stderr


def test_tables_plots_and_page_are_written(done):
    for name in ('table.md', 'table.csv', 'table.json', 'report.html', 'plots/mask-ap.svg'):
        assert (done[1] / name).stat().st_size
    table = read(done[1] / 'table.json')
    assert (table['done'], table['jobs']) == (1, 2)
    notes = table['comparisons'][0]['notes']
    assert len(notes) == 1 and notes[0].startswith('Variants differ: custom_hooks')


def test_only_jobs_without_a_result_are_pending(done):
    plan, work, _ = done
    prepared = prepare_plan(str(plan), str(work))
    assert [job.name for job in prepared.pending] == ['bad, seed 0']
    prepared = prepare_plan(str(plan), str(work), {'seeds': [1, 0]})
    assert [job.name for job in prepared.pending] == ['bad, seed 1', 'good, seed 1', 'bad, seed 0']


@pytest.fixture
def training(tmp_path):
    """The process of a plan that is in a long training, and the folder of its job."""
    settings = dict(epochs=400, batch_size=2, image_scale=[64, 48], workers=0, val_interval=400)
    plan, work = write_plan(tmp_path, training=settings), tmp_path / 'work'
    process = subprocess.Popen(
        [sys.executable, str(TOOL), str(plan), '--work-dir', str(work)],
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = work / 'resnet' / 'seed0'
    deadline = time.monotonic() + 120
    while not list(folder.glob('train/epoch_*.pth')):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    yield process, folder
    process.kill()
    process.communicate()


def test_a_terminated_plan_ends_its_job_which_resumes_later(training):
    process, folder = training
    process.terminate()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == STATUS_OF_INTERRUPTION
    assert 'the same command continues' in output
    os.close(lock(folder, seconds=0))  # no process of the job is left
    assert read(folder / 'seconds.json')['train'] > 0
    plan = folder.parents[2] / 'tiny.yml'
    changes = {'training.epochs': 400, 'training.val_interval': 400}
    assert prepare_plan(str(plan), str(folder.parents[1]), changes).jobs[0].begun


def test_a_job_ends_when_only_its_plan_is_killed(training):
    process, folder = training
    with pytest.raises(DataError, match='another process'):
        lock(folder, seconds=0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(lock(folder, seconds=60))


def test_a_full_disk_ends_the_plan_with_one_line(tmp_path):
    """A limit on the size of files stands in for the full disk: both fail a write half-way."""
    plan, work = write_plan(tmp_path / 'p'), tmp_path / 'work'
    limited = subprocess.run(
        [sys.executable, str(TOOL), str(plan), '--work-dir', str(work)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
        capture_output=True,
        text=True,
    )
    assert limited.returncode == 1
    failures = [line for line in limited.stdout.splitlines() if 'failed' in line]
    assert 'resnet, seed 0' in failures[0] and 'File too large' in failures[0]
    assert 'no other job is started' in limited.stdout
    assert not (work / 'senet').exists()
    assert not (work / 'resnet' / 'seed0' / 'result.json').exists()
    assert not list(work.glob('*/seed0/train/*.pth'))


def table(work_dir: Path) -> List[Dict[str, str]]:
    """Read the table without its times."""
    times = ('seconds', 'iteration_seconds', 'image_seconds')
    with open(work_dir / 'table.csv', encoding='utf-8') as file:
        return [{k: v for k, v in row.items() if k not in times} for row in csv.DictReader(file)]


def detections(work_dir: Path) -> Dict[str, bytes]:
    """Read what the tests of all jobs wrote, with scores in full precision."""
    paths = sorted(work_dir.glob('*/seed*/test/results.*.json'))
    return {str(path.relative_to(work_dir)): path.read_bytes() for path in paths}


def start(plan: Path, work_dir: Path) -> multiprocessing.Process:
    """Run a plan in a copy of this process, which has imported everything already."""

    def run() -> None:
        os.setsid()
        prepared = prepare_plan(str(plan), str(work_dir))
        os._exit(1 if run_plan(prepared, lambda line: None) else 0)

    process = multiprocessing.get_context('fork').Process(target=run)
    process.start()
    return process


@pytest.mark.slow(minutes=2)
def test_killing_a_plan_at_random_moments_changes_no_result(tmp_path):
    rows = [dict(name='resnet', config=write_config(tmp_path, 'resnet'))]
    settings = dict(epochs=8, batch_size=2, image_scale=[96, 72], workers=0, val_interval=8)
    plan = write_plan(tmp_path, rows=rows, training=settings)
    undisturbed, began = tmp_path / 'undisturbed', time.monotonic()
    process = start(plan, undisturbed)
    process.join()
    duration = time.monotonic() - began
    assert process.exitcode == 0
    assert len(detections(undisturbed)) == 2

    rng, kills, folders = random.Random(0), 0, [tmp_path / 'killed 0']
    while kills < KILLS:
        process = start(plan, folders[-1])
        process.join(rng.uniform(0, duration))
        if process.exitcode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        else:  # it was done: kill another
            assert process.exitcode == 0
            folders.append(tmp_path / f'killed {len(folders)}')
    process = start(plan, folders[-1])
    process.join()
    assert process.exitcode == 0
    for folder in folders:
        assert table(folder) == table(undisturbed)
        assert detections(folder) == detections(undisturbed)
