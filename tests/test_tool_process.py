"""A command run in the prepared process behaves as in one of its own."""

import os
import signal
import subprocess
import sys

import pytest
from tool_process import run_python

PROBE = """
import atexit, os, sys
atexit.register(print, 'at exit')
print(sys.argv, __name__, sys.path[0], os.getcwd(), os.environ.get('PROBE'), sys.stdin.read())
print('a warning', file=sys.stderr)
{end}
"""
ENDS = ['', 'sys.exit(3)', "sys.exit('a message')", 'os._exit(4)', 'raise KeyboardInterrupt']


def both(command, folder):
    environment = {**os.environ, 'PROBE': 'ä'}
    plain = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return plain, run_python(*command, cwd=folder, environment=environment)


@pytest.mark.parametrize('end', ENDS)
@pytest.mark.parametrize('kind', ['script', '-m', '-c'])
def test_status_and_output_are_those_of_python(kind, end, tmp_path):
    code = PROBE.format(end=end)
    (tmp_path / 'probe.py').write_text(code)
    command = {'script': ['probe.py'], '-m': ['-m', 'probe'], '-c': ['-c', code]}[kind]
    plain, ours = both([*command, 'a b', '--c'], tmp_path)
    assert ours.returncode == plain.returncode
    assert ours.stdout == plain.stdout
    assert ours.stderr.splitlines()[0] == plain.stderr.splitlines()[0] == 'a warning'
    assert ours.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]


def test_an_exception_ends_in_a_traceback(tmp_path):
    (tmp_path / 'probe.py').write_text('def f():\n    raise ValueError(7)\nf()\n')
    for done in both(['probe.py'], tmp_path):
        lines = done.stderr.splitlines()
        assert done.returncode == 1
        assert lines[0] == 'Traceback (most recent call last):' and lines[-1] == 'ValueError: 7'


def test_one_command_changes_nothing_for_the_next():
    start = 'import os, epsanet_mmdet as package; '
    change = "os.environ['PROBE'] = '1'; package.PROBE = os.chdir('/')"
    look = "print(os.environ.get('PROBE'), hasattr(package, 'PROBE'))"
    assert run_python('-c', start + change).returncode == 0
    assert run_python('-c', start + look).stdout == 'None False\n'


def test_the_package_has_been_imported():
    assert run_python('-c', "import sys; print('epsanet_mmdet' in sys.modules)").stdout == 'True\n'


def test_a_command_that_hangs_is_killed():
    done = run_python('-c', 'import time; time.sleep(60)', timeout=1)
    assert done.returncode == -signal.SIGALRM
    assert run_python('-c', 'print(1)').stdout == '1\n'
