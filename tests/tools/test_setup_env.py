"""Setting up fails early, in one line with the remedy, and keeps what is installed."""

import os
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPT = ROOT / 'tools' / 'setup_env.py'
STACKS = ('upstream', 'onedl')
# Stands in for an environment's Python: logs its arguments and succeeds, but for some commands.
PYTHON = """#!/bin/sh
echo "$@" >> '{log}'
case "$*" in
*'import sys, torch'*) exec '{python}' "$@" ;;
*'import mmcv._ext'*) exit ${{NO_MMCV:-0}} ;;
*--no-build-isolation*) echo '[1/2] c++ first.cpp' && echo 'first.cpp: wrong' >&2 && exit 1 ;;
esac
"""


def run(venv: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), '--venv', str(venv), *arguments],
        env={'PATH': '/nowhere', **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def setup(tmp_path):
    """Set up a stack where a torch of some version is installed; return the process."""
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        pytest.skip("needs Python's headers")
    venv, log, modules = tmp_path / 'venv', tmp_path / 'log', tmp_path / 'modules'
    for folder in (venv / 'bin', modules):
        folder.mkdir(parents=True)
    for path, text in (
        (venv / 'bin' / 'python', PYTHON.format(log=log, python=sys.executable)),
        (tmp_path / 'c++', '#!/bin/sh\n'),
    ):
        path.write_text(text)
        path.chmod(0o755)

    def start(stack: str, torch: str = '2.6.0', **environment) -> subprocess.CompletedProcess:
        (modules / 'torch.py').write_text(f'__version__ = {torch!r}')
        path = f'{tmp_path}:{os.environ["PATH"]}'
        return run(venv, '--stack', stack, PATH=path, PYTHONPATH=str(modules), **environment)

    start.venv, start.log = venv, log
    return start


def installed(setup, stack: str, torch: str) -> list[str]:
    """Return the arguments of ``pip install``."""
    done = setup(stack, torch)
    assert done.returncode == 0, done.stderr
    lines = setup.log.read_text().splitlines()
    return [word for line in lines if 'pip install' in line for word in line.split()]


def test_without_a_compiler_it_names_the_package_to_install(tmp_path):
    done = run(tmp_path / 'venv')
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        '[setup] error: mmcv is compiled here and there is no C++ compiler (c++); on Debian run: '
        'apt-get install g++'
    ]
    assert not (tmp_path / 'venv').exists()


def test_an_unsupported_python_is_refused_with_the_supported_versions(monkeypatch):
    script = runpy.run_path(str(SCRIPT))
    monkeypatch.setitem(script['check_prerequisites'].__globals__, 'SUPPORTED', ((3, 7), (3, 8)))
    with pytest.raises(SystemExit, match='packages need 3.7 to 3.8; run: make PYTHON='):
        script['check_prerequisites']()


@pytest.mark.parametrize('stack', STACKS)
def test_a_ready_environment_is_left_alone(setup, stack):
    assert setup(stack).returncode == 0
    done = run(setup.venv, '--stack', stack)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('stack', STACKS)
@pytest.mark.parametrize('torch', ['2.13.0+cu130', '2.6.0'])
def test_torch_and_mmcv_that_are_installed_are_kept(setup, stack, torch):
    names = {word.split('==')[0] for word in installed(setup, stack, torch)}
    assert 'numpy' in names and not names & {'torch', 'mmcv', 'onedl-mmcv'}


@pytest.mark.parametrize('torch', ['2.5.1', '1.13.1'])
def test_an_old_torch_is_replaced(setup, torch):
    assert any(word.startswith('torch==') for word in installed(setup, 'upstream', torch))


def test_a_build_shows_its_progress_and_the_log_of_a_failure(setup):
    done = setup('upstream', NO_MMCV='1')
    assert done.returncode == 1
    assert '[setup] mmcv: file [1/2]' in done.stdout
    log = setup.venv / 'mmcv-build.log'
    assert f'mmcv did not build; see the compiler errors in {log}' in done.stderr
    assert 'first.cpp: wrong' in log.read_text()
