"""Shells complete commands, options, choices and names of configs, without heavy packages."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from epsanet_cli.commands import COMMANDS
from epsanet_cli.completion import SHELLS, shell_code
from epsanet_mmdet.config.load import find_config
from epsanet_mmdet.experiments.plan_file import find_plan

# What bash does at a press of TAB after the line "$1".
TAB = """
eval "$(epsanet --completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p epsanet | sed 's/.*-F \\([^ ]*\\).*/\\1/') epsanet
printf '%s\\n' "${COMPREPLY[@]}"
"""
pytestmark = pytest.mark.skipif(shutil.which('bash') is None, reason='needs bash')


@pytest.fixture
def environment(tmp_path):
    """An environment with ``epsanet`` on its path, which runs this tree."""
    command = tmp_path / 'bin' / 'epsanet'
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m epsanet_cli "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), os.environ['PATH']])
    paths = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    return {**os.environ, 'PATH': path, 'PYTHONPATH': paths}


@pytest.fixture
def complete(environment, tmp_path):
    def press_tab(line: str) -> list[str]:
        done = subprocess.run(
            ['bash', '--norc', '-c', TAB, 'bash', line],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return [name.strip() for name in done.stdout.splitlines()]

    return press_tab


def test_commands_are_completed(complete):
    assert set(COMMANDS) <= set(complete('epsanet '))
    assert complete('epsanet tr') == ['train', 'transplant']


@pytest.mark.parametrize(
    'line, completed',
    [
        ('epsanet infer --out', ['--out-dir']),
        ('epsanet train a.py --cfg-options a=1 --la', ['--launcher']),
        ('epsanet train a.py --launcher s', ['slurm']),
        ('epsanet transplant a.pth --arch l', ['large', 'large-paper']),
        ('epsanet --completion z', ['zsh']),
        ('epsanet benchmark epsanet50-s+deploy+comp', ['epsanet50-s+deploy+compile']),
    ],
)
def test_options_and_choices_are_completed(line, completed, complete):
    assert complete(line) == completed


def test_shipped_configs_and_plans_are_completed_by_their_bare_names(complete):
    found = complete('epsanet train mask-rcnn_epsanet50')
    assert 'mask-rcnn_epsanet50-s_fpn_1x_coco' in found
    assert all(map(find_config, found))
    found = complete('epsanet reproduce co')
    assert 'coco-table' in found
    assert all(map(find_plan, found))


def test_own_configs_are_completed_too(complete, tmp_path):
    (tmp_path / 'mine.py').touch()
    (tmp_path / 'mine.txt').touch()
    assert complete('epsanet train mi') == ['mine.py']


@pytest.mark.parametrize('shell', SHELLS)
def test_every_shell_accepts_its_code(shell):
    if shutil.which(shell) is None:
        pytest.skip(f'needs {shell}')
    done = subprocess.run(
        [shell, '-n'], input=shell_code(shell), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, '')


def test_completing_is_fast(environment, tmp_path):
    line = 'epsanet train mask-rcnn_epsanet50-s'
    asked = dict(
        _ARGCOMPLETE='1',
        _ARGCOMPLETE_STDOUT_FILENAME=str(tmp_path / 'out'),
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
    )
    process = subprocess.Popen(['epsanet'], env={**environment, **asked})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert 'mask-rcnn_epsanet50-s_fpn_1x_coco' in (tmp_path / 'out').read_text()
    assert usage.ru_utime + usage.ru_stime < 1
