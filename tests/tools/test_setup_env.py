"""Setting up fails early, in one line with the remedy, and keeps what is installed."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / 'tools' / 'setup_env.py'
STACKS = ('upstream', 'onedl')


@pytest.fixture
def script():
    return runpy.run_path(str(SCRIPT))


def run(venv, **environment):
    return subprocess.run(
        [sys.executable, str(SCRIPT), '--venv', str(venv)],
        env={'PATH': '/nowhere', **environment},
        capture_output=True,
        text=True,
    )


def test_without_a_compiler_it_names_the_package_to_install(tmp_path):
    done = run(tmp_path / 'venv')
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        '[setup] error: mmcv is compiled here and there is no C++ compiler (c++); on Debian run: '
        'apt-get install g++'
    ]
    assert not (tmp_path / 'venv').exists()


def test_an_unsupported_python_is_refused_with_the_supported_versions(script, monkeypatch):
    monkeypatch.setitem(script['check_prerequisites'].__globals__, 'SUPPORTED', ((3, 7), (3, 8)))
    with pytest.raises(SystemExit, match='packages need 3.7 to 3.8; run: make PYTHON='):
        script['check_prerequisites']()


@pytest.mark.parametrize('stack', STACKS)
def test_a_ready_environment_is_left_alone(script, tmp_path, stack):
    pins = SCRIPT.parent.parent / 'requirements' / f'{stack}.txt'
    (tmp_path / f'.ready-{stack}').write_text(script['fingerprint'](pins))
    command = [sys.executable, str(SCRIPT), '--venv', str(tmp_path), '--stack', stack]
    done = subprocess.run(command, env={'PATH': '/nowhere'}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('stack', STACKS)
def test_torch_and_mmcv_are_not_installed_a_second_time(script, stack):
    pins = SCRIPT.parent.parent / 'requirements' / f'{stack}.txt'
    names = {line.split('==')[0] for line in script['rest_of'](pins)}
    assert 'numpy' in names and not names & {'torch', 'mmcv', 'onedl-mmcv'}


def test_any_torch_from_2_6_counts_as_installed(script):
    probe = script['PROBE_TORCH']
    fake = "import sys, types; m = types.ModuleType('torch'); m.__version__ = '{}'; "
    fake += "sys.modules['torch'] = m; "
    for version, code in (('2.13.0+cu130', 0), ('2.6.0', 0), ('2.5.1', 1), ('1.13.1', 1)):
        done = subprocess.run([sys.executable, '-c', fake.format(version) + probe])
        assert done.returncode == code
