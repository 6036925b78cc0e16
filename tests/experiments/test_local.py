"""Jobs run several at a time, for which short scripts stand in here."""

import os
import signal

import pytest
import torch
from finished_jobs import finish_jobs
from tiny_plan import write_plan

from epsanet_mmdet.experiments import Interrupted, launch, local, prepare_plan, run_plan
from epsanet_mmdet.experiments.job import Locked, lock

# Each job waits until two have begun, and counts those that run then.
JOB = """
echo $CUDA_VISIBLE_DEVICES > gpus
touch {marks}/begun.$$ {marks}/running.$$
trap 'rm {marks}/running.$$' EXIT
for i in {{1..400}}; do [ $(ls {marks} | grep -c begun) -ge 2 ] && break; sleep 0.05; done
ls {marks} | grep -c running > beside
sleep 0.3  # until the other has counted, too
{action}
mv later.json result.json
"""
WAIT = "trap 'touch saved; exit 75' TERM; while true; do sleep 0.05; done"


@pytest.fixture
def prepared(tmp_path):
    """Four jobs, two at a time; each is done when its ``later.json`` is ``result.json``."""
    plan = write_plan(tmp_path, seeds=[0, 1], launcher=dict(jobs=2))
    prepared = prepare_plan(str(plan), str(tmp_path / 'work'))
    finish_jobs(prepared)
    for job in prepared.jobs:
        (job.folder / 'result.json').rename(job.folder / 'later.json')
    return prepared


@pytest.fixture
def do(prepared, tmp_path, monkeypatch):
    """Return a function that sets what jobs do, by variant."""
    marks = tmp_path / 'marks'
    marks.mkdir()

    def set_actions(**actions: str) -> None:
        def command(job, launcher):
            script = JOB.format(marks=marks, action=actions.get(job.variant.name, ''))
            return ['bash', '-c', f'cd {job.folder}; {script}']

        monkeypatch.setattr(launch, 'command', command)

    return set_actions


def read(prepared, name):
    return [(job.folder / name).read_text().strip() for job in prepared.jobs]


def test_as_many_jobs_run_at_a_time_as_the_plan_says(prepared, do):
    do()
    assert run_plan(prepared, lambda line: None) == []
    assert prepared.pending == []
    assert read(prepared, 'beside')[0] == '2' and max(read(prepared, 'beside')) == '2'


def test_every_job_has_a_free_gpu_of_the_plan(prepared, do, monkeypatch):
    do()
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '7,GPU-3,5')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 3)
    said = []
    assert run_plan(prepared, said.append) == []
    gpus = read(prepared, 'gpus')
    assert gpus[:2] == ['7', 'GPU-3'] and set(gpus) <= {'7', 'GPU-3', '5'}
    assert 'job 2 of 4 (senet, seed 0): starts on GPU GPU-3' in said[1]


def test_after_a_failed_job_the_others_still_run(prepared, do):
    do(resnet='echo "it broke"; exit 3')
    failures = run_plan(prepared, lambda line: None)
    assert [job.variant.name for job in prepared.pending] == ['resnet', 'resnet']
    assert len(failures) == 2 and 'job 1 of 4 (resnet, seed 0) failed: it broke' in failures[0]


def test_on_a_full_disk_no_other_job_is_started(prepared, do):
    action = 'echo "No space left on device"; exit 1'
    do(resnet=action, senet=action)
    failures = run_plan(prepared, lambda line: None)
    assert 1 <= len(failures) <= 2
    assert not (prepared.jobs[-1].folder / 'gpus').exists()


@pytest.mark.parametrize(
    ('minutes', 'action'), [(None, 'kill -TERM $PPID'), (None, 'kill -INT $PPID'), (0.05, ':')]
)
def test_an_interruption_ends_every_running_job(minutes, action, prepared, do):
    do(resnet=WAIT, senet=f'(sleep 1; {action}) & {WAIT}')
    said = []
    with pytest.raises(Interrupted):
        run_plan(prepared, said.append, minutes=minutes)
    assert [(job.folder / 'saved').exists() for job in prepared.jobs] == [True, True, False, False]
    assert sum('ends and saves its state' in line for line in said) == 2
    for job in prepared.jobs:
        os.close(lock(job.folder, seconds=0))


def test_a_signal_that_is_ignored_stays_ignored(prepared, do):
    do(senet='kill -HUP $PPID')
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert run_plan(prepared, lambda line: None) == []
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, earlier)
    assert prepared.pending == []


def test_a_job_that_is_preempted_alone_ends_the_plan(prepared, do):
    do(resnet='exit 75', senet=WAIT)
    with pytest.raises(Interrupted):
        run_plan(prepared, lambda line: None)
    assert (prepared.jobs[1].folder / 'saved').exists()


def test_a_job_of_another_process_is_left_to_it(prepared, do, monkeypatch):
    monkeypatch.setattr(local, 'LOCK_SECONDS', 0.5)
    do()
    descriptor = lock(prepared.jobs[0].folder)
    with pytest.raises(Locked, match='another process'):
        run_plan(prepared, lambda line: None)
    os.close(descriptor)
    assert prepared.pending == prepared.jobs[:1]
    assert run_plan(prepared, lambda line: None) == []
