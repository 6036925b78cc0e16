"""Setting up fails early, in one line with the remedy, and keeps what is installed."""

import os
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
*sys.version_info*) echo $VERSION ;;
*'import sys, torch'*) exec '{python}' "$@" ;;
*'import mmcv._ext'*) exit ${{NO_MMCV:-0}} ;;
*FORCE_CUDA*) printf "$CUDA" ;;
*--no-build-isolation*)
    command -v ninja
    echo '[1/2] c++ first.cpp' && echo 'first.cpp: wrong' >&2 && exit 1 ;;
esac
"""
NVCC = '#!/bin/sh\necho Cuda compilation tools, release {}, V1\n'


def run(venv: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), '--venv', str(venv), *arguments],
        env={'PATH': '/nowhere', **environment},
        capture_output=True,
        text=True,
    )


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def setup(tmp_path):
    """Set up a stack in an environment with some Python and torch; return the process."""
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        pytest.skip("needs Python's headers")
    venv, log, modules = tmp_path / 'venv', tmp_path / 'log', tmp_path / 'modules'
    modules.mkdir()
    executable(venv / 'bin' / 'python', PYTHON.format(log=log, python=sys.executable))
    executable(venv / 'bin' / 'ninja', '#!/bin/sh\n')
    executable(tmp_path / 'c++', '#!/bin/sh\n')

    def start(stack='', torch='2.6.0', version='3 12', **environment):
        (modules / 'torch.py').write_text(f'__version__ = {torch!r}')
        environment.setdefault('PATH', f'{tmp_path}:{os.environ["PATH"]}')
        environment |= {'PYTHONPATH': str(modules), 'VERSION': version}
        return run(venv, '--stack', stack, **environment)

    start.venv, start.log = venv, log
    return start


def installed(setup, *arguments: str) -> list[str]:
    """Return the arguments of ``pip install``."""
    done = setup(*arguments)
    assert done.returncode == 0, done.stderr
    lines = setup.log.read_text().splitlines()
    return [word for line in lines if 'pip install' in line for word in line.split()]


def error(done: subprocess.CompletedProcess) -> str:
    """Return the one line with which a set-up failed."""
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith('[setup] error: ')
    return line.removeprefix('[setup] error: ')


def test_without_a_compiler_it_names_the_package_to_install(setup):
    assert error(setup(PATH='/nowhere')) == (
        'mmcv is compiled here and there is no C++ compiler (c++); on Debian run: '
        'apt-get install g++'
    )


@pytest.mark.parametrize('version', ['3 11', '3 12'])
def test_pythons_that_mmcv_supports_get_the_upstream_stack(setup, version):
    assert any(word.startswith('mmdet==') for word in installed(setup, '', '2.6.0', version))


@pytest.mark.parametrize('version', ['3 13', '3 14'])
def test_newer_pythons_get_the_forks_and_a_line_about_it(setup, version):
    done = setup(version=version)
    assert done.returncode == 0, done.stderr
    reason = f'Python {version.replace(" ", ".")}: taking the OneDL forks, as mmcv 2.1 needs 3.12'
    assert [reason in line for line in done.stdout.splitlines()].count(True) == 1
    assert 'onedl-mmdetection==' in setup.log.read_text()


def test_a_stack_that_is_asked_for_needs_no_explanation(setup):
    assert 'forks' not in setup('onedl').stdout
    assert 'onedl-mmdetection==' in setup.log.read_text()


def test_the_fork_is_installed_without_requirements_that_exclude_the_pinned_opencv(setup):
    setup('onedl')
    lines = setup.log.read_text().splitlines()
    (line,) = (line for line in lines if 'imaug==' in line or 'onedl-mmdetection==' in line)
    assert '--no-deps' in line and 'imaug==' in line and 'onedl-mmdetection==' in line


@pytest.mark.parametrize('version', ['3 10', '3 15'])
def test_other_pythons_are_refused_with_one_that_is_installed(setup, version, tmp_path):
    executable(tmp_path / 'bin' / 'python3.12', '')
    assert error(setup(version=version, PATH=str(tmp_path / 'bin'))) == (
        f'this is Python {version.replace(" ", ".")}; this project needs 3.11 to 3.14; '
        'run: make PYTHON=python3.12 ...'
    )


def test_a_stack_that_does_not_support_the_python_is_refused_with_the_other(setup):
    assert error(setup('upstream', version='3 14', PATH='/nowhere')) == (
        'this is Python 3.14; STACK=upstream needs 3.11 to 3.12; '
        'run: make PYTHON=python3.12 ... or make STACK=onedl ...'
    )


def test_an_unknown_stack_is_refused_with_the_known_ones(setup):
    assert error(setup('openmm')) == 'unknown STACK=openmm; the stacks are upstream and onedl'


@pytest.mark.parametrize('stack', ['', *STACKS])
def test_a_ready_environment_is_left_alone(setup, stack):
    assert setup(stack).returncode == 0
    done = setup(stack, PATH='/nowhere')
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
    log = setup.venv / 'mmcv-build.log'
    assert error(done) == f'mmcv did not build; see the compiler errors in {log}'
    assert '[setup] mmcv: file [1/2]' in done.stdout
    assert 'first.cpp: wrong' in log.read_text()


def test_a_build_finds_the_ninja_of_the_environment_first(setup):
    setup('upstream', NO_MMCV='1')
    log = (setup.venv / 'mmcv-build.log').read_text().splitlines()
    assert log[0] == str(setup.venv / 'bin' / 'ninja')


def test_a_gpu_without_the_cuda_toolkit_is_refused_before_the_build(setup):
    done = setup('upstream', NO_MMCV='1', CUDA=r'True\n13.0\nNone\n')
    assert error(done) == (
        'to compile mmcv for the GPU, torch needs the CUDA toolkit 13.0, and there is no nvcc; '
        'install it and set CUDA_HOME, or use the CPU: CUDA_VISIBLE_DEVICES= make ...'
    )
    assert not (setup.venv / 'mmcv-build.log').exists()


@pytest.mark.parametrize(
    'release, sees, arches, reason',
    [
        ('12.8', True, '', 'needs the CUDA toolkit 13.0, and {home} is CUDA 12;'),
        ('13.0', False, '', 'FORCE_CUDA=1 needs TORCH_CUDA_ARCH_LIST'),
        ('13.1', False, '9.0', 'mmcv did not build'),  # the stand-in's build always fails
        ('13.0', True, '', 'mmcv did not build'),
    ],
)
def test_the_cuda_toolkit_must_fit_torch(setup, tmp_path, release, sees, arches, reason):
    home = tmp_path / 'cuda'
    executable(home / 'bin' / 'nvcc', NVCC.format(release))
    found = rf'{sees}\n13.0\n{home}\n'
    done = setup('upstream', NO_MMCV='1', CUDA=found, TORCH_CUDA_ARCH_LIST=arches)
    assert reason.format(home=home) in error(done)


@pytest.mark.parametrize('for_gpus', [False, True])
def test_builds_for_gpus_and_cpus_do_not_share_pips_cache(setup, tmp_path, for_gpus):
    executable(tmp_path / 'cuda' / 'bin' / 'nvcc', NVCC.format('13.0'))
    setup('', NO_MMCV='1', CUDA=rf'True\n13.0\n{tmp_path}/cuda\n' if for_gpus else '')
    (build,) = (line for line in setup.log.read_text().splitlines() if 'isolation' in line)
    assert ('--no-cache-dir' in build) == for_gpus


def test_a_torch_for_cpus_cannot_be_forced_to_build_for_gpus(setup):
    done = setup('upstream', NO_MMCV='1', CUDA=r'False\nNone\nNone\n')
    assert error(done).startswith('FORCE_CUDA=1 needs a CUDA build of torch')
