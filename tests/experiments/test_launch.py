"""Jobs start as one process, one per GPU, or with Slurm, for which scripts stand in here."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from tiny_plan import write_plan

from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.experiments import prepare_plan, run, run_plan
from epsanet_mmdet.experiments.launch import batch_script, command, queued, submit
from epsanet_mmdet.experiments.plan import Launcher

SLURM = dict(
    sbatch="""
echo "$@" >> {folder}/submitted
[ -f {folder}/refuse ] && {{ echo "sbatch: error: Invalid partition" >&2; exit 1; }}
number=$(( $(wc -l < {folder}/submitted) + 100 ))
cp "${{@: -1}}" {folder}/script.$number
log=$(sed -n 's/^#SBATCH --output=//p' {folder}/script.$number)
touch {folder}/running.$number
( SLURM_JOB_ID=$number bash {folder}/script.$number >> "$log" 2>&1
  rm -f {folder}/running.$number ) > /dev/null 2>&1 &
echo "$number;cluster"
""",
    squeue="""
number=$(printf '%s\\n' "$@" | sed -n 's/^--jobs=//p')
refuse() {{ echo "squeue: error: $1" >&2; exit 1; }}
[ -f {folder}/down ] && refuse "Unable to contact slurm controller"
[ -f {folder}/script.$number ] || refuse "Invalid job id specified"
[ -f {folder}/running.$number ] && echo RUNNING
exit 0
""",
    # As srun: one process, which is told its rank, with the launcher as the worker has it.
    srun="""
shift
export SLURM_PROCID=0 SLURM_NTASKS=1
exec "${{@:1:$#-1}}" none
""",
    scontrol='echo "$@" >> {folder}/requeued\n',
)


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A folder with scripts that stand in for Slurm's commands, first in PATH."""
    folder = tmp_path / 'slurm'
    folder.mkdir()
    for name, text in SLURM.items():
        path = folder / name
        path.write_text('#!/bin/bash\n' + text.format(folder=folder))
        path.chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
    return folder


def slurm_answers() -> bool:
    try:
        done = subprocess.run(
            ['sinfo', '--noheader', '--states=idle,mixed'], capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


@pytest.fixture
def job(tmp_path):
    prepared = prepare_plan(str(write_plan(tmp_path / 'plan')), str(tmp_path / 'work'))
    return prepared.jobs[0]


def test_one_process_or_one_for_every_gpu(job):
    assert 'torch.distributed.run' not in command(job, Launcher())
    several = command(job, Launcher(type='pytorch', gpus=4))
    assert '--nproc_per_node=4' in several and '--standalone' in several
    assert several[-2:] == ['--launcher', 'pytorch']


@pytest.mark.parametrize(
    ('gpus', 'nodes', 'per_node'), [(1, 1, 1), (4, 1, 4), (8, 1, 8), (16, 2, 8)]
)
def test_a_slurm_script_requests_the_resources_of_the_plan(gpus, nodes, per_node, job):
    launcher = Launcher(type='slurm', gpus=gpus, partition='long', sbatch_args=['--time=2-0'])
    script = batch_script(job, launcher)
    for option in (
        *(f'--nodes={nodes}', f'--ntasks-per-node={per_node}', f'--gres=gpu:{per_node}'),
        *('--partition=long', '--time=2-0', '--requeue', '--job-name=reproduce-resnet-seed0'),
    ):
        assert f'#SBATCH {option}\n' in script
    assert subprocess.run(['bash', '-n'], input=script, text=True).returncode == 0


def test_a_preempted_job_is_queued_again(job, slurm):
    (slurm / 'srun').write_text('#!/bin/bash\nexit 75\n')
    script = batch_script(job, Launcher(type='slurm'))
    done = subprocess.run(
        ['bash'], input=script, text=True, env={**os.environ, 'SLURM_JOB_ID': '9'}
    )
    assert done.returncode == 75
    assert (slurm / 'requeued').read_text() == 'requeue 9\n'


def test_a_job_in_the_queue_is_not_submitted_again(job, slurm):
    (slurm / 'srun').write_text(f'#!/bin/bash\nwhile [ ! -f {slurm}/end ]; do sleep 0.05; done\n')
    job.prepare()
    launcher = Launcher(type='slurm')
    number = submit(job, launcher)
    assert queued(job) == number == submit(job, launcher)
    (slurm / 'down').touch()
    assert queued(job) == number  # nobody knows, so that nothing is done twice
    (slurm / 'down').unlink()
    (slurm / 'end').touch()
    deadline = time.monotonic() + 30
    while queued(job):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (slurm / f'script.{number}').unlink()
    assert queued(job) is None  # Slurm has forgotten it
    assert submit(job, launcher) != number


def test_a_refusal_of_slurm_is_passed_on(job, slurm):
    (slurm / 'refuse').touch()
    job.prepare()
    with pytest.raises(ConfigError, match='Invalid partition'):
        submit(job, Launcher(type='slurm', partition='x'))


def test_a_plan_runs_with_slurm(tmp_path, slurm, monkeypatch):
    monkeypatch.setattr(run, 'SLURM_POLL', 0.3)
    plan = write_plan(tmp_path / 'plan', launcher=dict(type='slurm', gpus=1))
    prepared, said = prepare_plan(str(plan), str(tmp_path / 'work')), []
    assert run_plan(prepared, said.append) == [], said
    assert len((slurm / 'submitted').read_text().splitlines()) == 2
    assert json.loads((tmp_path / 'work' / 'table.json').read_text())['done'] == 2
    assert any('Slurm job 101' in line for line in said)
    assert run_plan(prepared, said.append) == []  # nothing is left to submit
    assert len((slurm / 'submitted').read_text().splitlines()) == 2


@pytest.mark.skipif(not slurm_answers(), reason='needs a Slurm cluster, which does not answer here')
def test_a_plan_runs_with_a_real_slurm(tmp_path, monkeypatch):
    monkeypatch.setattr(run, 'SLURM_POLL', 0.5)
    launcher = dict(type='slurm', gpus=1, gres='', cpus_per_task=1)
    plan = write_plan(tmp_path / 'plan', launcher=launcher)
    prepared, said = prepare_plan(str(plan), str(tmp_path / 'work')), []
    assert run_plan(prepared, said.append) == [], said
    assert all(job.result['processes'] == 1 for job in prepared.jobs)
    assert json.loads((tmp_path / 'work' / 'table.json').read_text())['done'] == 2
