"""Running plans: results, skipping what is done, failures, interruptions, the tool itself."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from finished_jobs import finish_jobs
from tiny_plan import TOOL, reproduce, write_config, write_plan

from epsanet_mmdet.errors import ConfigError, DataError
from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.command import reproduce as command
from epsanet_mmdet.experiments.job import lock

STATUS_OF_INTERRUPTION = 75


def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """A plan whose second row fails in training, and what the tool said."""
    folder = tmp_path_factory.mktemp('done')
    wrong = "custom_hooks = [dict(type='NoSuchHook')]"
    rows = [
        dict(name='bad', config=write_config(folder, 'bad', more=wrong)),
        dict(name='good', config=write_config(folder, 'good')),
    ]
    plan = write_plan(folder, rows=rows, allow=['custom_hooks'], baseline='good')
    return plan, folder / 'work', reproduce(plan, folder / 'work')


def test_a_job_trains_tests_and_says_what_it_measured(done):
    folder = done[1] / 'good' / 'seed0'
    result = read(folder / 'result.json')
    assert result['checkpoint'] == 'epoch_3.pth'
    assert set(result['metrics']) == {'bbox', 'segm'}
    assert {'torch', 'mmdet', 'numpy', 'python'} <= set(result['versions'])
    assert result['hardware'] and result['processes'] == 1 and result['seed'] == 0
    assert set(read(folder / 'seconds.json')) == {'train', 'test'}
    for name in ('results.bbox.json', 'results.segm.json'):
        assert isinstance(read(folder / 'test' / name), list)


def test_a_failed_job_is_named_with_its_last_line_and_the_others_go_on(done):
    said = done[2]
    assert said.returncode == 1
    failure = next(line for line in said.stdout.splitlines() if 'failed' in line)
    assert 'job 1 of 2 (bad, seed 0)' in failure and 'NoSuchHook' in failure
    assert (done[1] / 'bad' / 'seed0' / 'console.log').is_file()
    assert 'job 2 of 2 (good, seed 0): done' in said.stdout
    assert 'Traceback' not in said.stderr


def test_tables_plots_and_page_are_written(done):
    for name in ('table.md', 'table.csv', 'table.json', 'report.html', 'plots/mask-ap.svg'):
        assert (done[1] / name).stat().st_size
    table = read(done[1] / 'table.json')
    assert (table['done'], table['jobs']) == (1, 2)
    notes = table['comparisons'][0]['notes']
    assert len(notes) == 1 and notes[0].startswith('Rows differ: custom_hooks')


def test_what_is_done_is_not_done_again(done):
    plan, work, _ = done
    prepared = prepare_plan(str(plan), str(work))
    assert [job.name for job in prepared.pending] == ['bad, seed 0']


@pytest.mark.parametrize(
    ('changes', 'key'),
    [
        ({'training.epochs': 4}, 'config.train_cfg.max_epochs'),
        ({'overrides': {'optim_wrapper.optimizer.lr': 1.0}}, 'optimizer.lr'),
        ({'launcher': dict(type='pytorch', gpus=2)}, 'processes'),
    ],
    ids=str,
)
def test_jobs_of_other_settings_are_not_mixed(changes, key, done):
    plan, work, _ = done
    before = read(work / 'good' / 'seed0' / 'settings.json')
    with pytest.raises(ConfigError, match=f'other settings: .*{key}.*--work-dir'):
        prepare_plan(str(plan), str(work), changes)
    assert read(work / 'good' / 'seed0' / 'settings.json') == before


def test_more_seeds_may_be_added(done):
    plan, work, _ = done
    prepared = prepare_plan(str(plan), str(work), {'seeds': [1, 0]})
    assert [(j.row.name, j.seed) for j in prepared.pending] == [('bad', 1), ('good', 1), ('bad', 0)]


def test_a_terminated_plan_ends_its_job_and_goes_on_later(tmp_path):
    folder = tmp_path / 'p'
    training = dict(epochs=400, batch_size=2, image_scale=[64, 48], workers=0, val_interval=400)
    plan = write_plan(folder, training=training)
    work = tmp_path / 'work'
    process = subprocess.Popen(
        [sys.executable, str(TOOL), str(plan), '--work-dir', str(work)],
        stdout=subprocess.PIPE,
        text=True,
    )
    job = work / 'resnet' / 'seed0'
    deadline = time.monotonic() + 120
    while not list(job.glob('train/epoch_*.pth')):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    said = process.communicate(timeout=120)[0]
    assert process.returncode == STATUS_OF_INTERRUPTION
    assert 'the same command continues' in said
    os.close(lock(job, seconds=0))  # no process of the job is left
    spent = read(job / 'seconds.json')['train']
    assert spent > 0
    prepared = prepare_plan(str(plan), str(work))
    assert prepared.jobs[0].begun


def test_a_job_ends_when_its_plan_is_killed_alone(tmp_path):
    training = dict(epochs=400, batch_size=2, image_scale=[64, 48], workers=0, val_interval=400)
    plan = write_plan(tmp_path / 'p', training=training)
    process = subprocess.Popen(
        [sys.executable, str(TOOL), str(plan), '--work-dir', str(tmp_path / 'work')],
        stdout=subprocess.DEVNULL,
    )
    job = tmp_path / 'work' / 'resnet' / 'seed0'
    deadline = time.monotonic() + 120
    while not list(job.glob('train/epoch_*.pth')):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(DataError, match='another process'):
        lock(job, seconds=0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(lock(job, seconds=60))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['small-data', '--seeds', '1', '1'], 'twice'),
        (['coco-minimal', '--data-root', 'absent'], "'absent"),
    ],
    ids=' '.join,
)
def test_the_tool_says_what_is_wrong_in_one_line(arguments, words, tmp_path):
    said = subprocess.run(
        [sys.executable, str(TOOL), *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert said.returncode == 1
    last = said.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ') and words in last
    assert 'Traceback' not in said.stderr
    assert not list(tmp_path.iterdir())


def test_a_dry_run_lists_the_jobs_and_starts_none(tmp_path, capsys):
    plan = write_plan(tmp_path / 'p', seeds=[0, 1])
    assert command(str(plan), str(tmp_path / 'work'), dry_run=True) == 0
    said = capsys.readouterr().out
    assert said.count('to do') >= 4 and 'GB' in said
    assert not list((tmp_path / 'work').glob('*'))


def test_report_only_shows_what_is_done(tmp_path, capsys):
    plan = write_plan(tmp_path / 'p', seeds=[0, 1])
    prepared = prepare_plan(str(plan), str(tmp_path / 'work'))
    finish_jobs(prepared)
    (prepared.jobs[0].folder / 'result.json').unlink()
    assert command(str(plan), str(tmp_path / 'work'), report_only=True) == 0
    assert '3 of 4 jobs done' in capsys.readouterr().out


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


def test_a_damaged_result_is_named(tmp_path):
    plan = write_plan(tmp_path / 'p')
    prepared = prepare_plan(str(plan), str(tmp_path / 'work'))
    finish_jobs(prepared)
    (prepared.jobs[0].folder / 'result.json').write_text('{"metr')
    with pytest.raises(DataError, match='result.json'):
        assert prepared.pending
