"""The launch scripts start one process per GPU and pass the other arguments on."""

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent.parent / 'tools'


@pytest.fixture
def launch(tmp_path):
    """Run a script with stand-ins for the launchers that print their arguments."""
    for launcher in ('python', 'srun'):
        path = tmp_path / launcher
        path.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        path.chmod(0o755)

    def call(script, *arguments, **environment):
        return subprocess.run(
            [str(TOOLS / script), *arguments],
            env={**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', **environment},
            capture_output=True,
            text=True,
        )

    return call


@pytest.mark.parametrize(
    ('script', 'given', 'passed'),
    [
        ('dist_train.sh', ['my config.py', '4', '--amp'], ['my config.py', '--amp']),
        ('dist_test.sh', ['c.py', 'w.pth', '4', '--tta'], ['c.py', 'w.pth', '--tta']),
    ],
)
def test_torch_launches_one_process_per_gpu(launch, script, given, passed):
    done = launch(script, *given, NNODES='2', NODE_RANK='1', MASTER_ADDR='host', PORT='1234')
    lines = done.stdout.splitlines()
    for option in ('nnodes=2', 'node_rank=1', 'master_addr=host', 'master_port=1234'):
        assert f'--{option}' in lines
    assert '--nproc_per_node=4' in lines
    tool = str(TOOLS / script.replace('dist_', '').replace('.sh', '.py'))
    assert lines[lines.index(tool) :] == [tool, *passed, '--launcher', 'pytorch']


@pytest.mark.parametrize(
    ('script', 'last', 'passed'),
    [
        ('slurm_train.sh', 'work dir', ['c.py', '--work-dir=work dir']),
        ('slurm_test.sh', 'w.pth', ['c.py', 'w.pth']),
    ],
)
def test_slurm_launches_one_process_per_gpu(launch, script, last, passed):
    done = launch(script, 'gpu', 'job', 'c.py', last, '--amp', GPUS='16', SRUN_ARGS='--qos a -t 9')
    lines = done.stdout.splitlines()
    assert lines[:2] == ['-p', 'gpu']
    for option in ('--job-name=job', '--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8'):
        assert option in lines
    assert ['--qos', 'a', '-t', '9', 'python', '-u'] == lines[lines.index('--qos') :][:6]
    assert lines[-len(passed) - 3 :] == [*passed, '--launcher', 'slurm', '--amp']


@pytest.mark.parametrize('script', sorted(path.name for path in TOOLS.glob('*.sh')))
def test_without_arguments_a_script_prints_its_usage(launch, script):
    done = launch(script)
    assert done.returncode == 2
    assert done.stderr.startswith(f'usage: {TOOLS / script} ')
