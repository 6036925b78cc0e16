"""Every tool is a command with the same options, and help needs no heavy package."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from epsanet_cli.commands import COMMANDS

SCRIPTS = {
    path.name: path.read_text()
    for path in (ROOT / 'tools').glob('[!_]*.py')
    if path.name != 'setup_env.py' and 'from _moved import' not in path.read_text()
}
SCRIPT = '''"""The script of ``epsanet {name}``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('{name}')
'''
HEAVY = {'cv2', 'epsanet_mmdet', 'matplotlib', 'mmcv', 'mmdet', 'mmengine', 'numpy', 'torch'}
SECONDS = 1.0  # of CPU time; about 0.05 on the machine of the author


def name_of(script: str) -> str:
    return SCRIPTS[script].split("run('")[1].split("'")[0]


def run(*arguments: str, columns: int = 80, **environment: str):
    """Run Python, and return its output and the seconds of CPU time that it took."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'COLUMNS': str(columns), **environment}
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 0
    return output, usage.ru_utime + usage.ru_stime


def test_every_tool_is_a_command_and_every_command_a_tool():
    assert sorted(map(name_of, SCRIPTS)) == sorted(COMMANDS)


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_script_only_runs_its_command(script):
    assert SCRIPTS[script] == SCRIPT.format(name=name_of(script))


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_script_has_the_help_of_its_command_and_both_are_fast(script):
    name = name_of(script)
    of_script, seconds = run(f'tools/{script}', '--help', columns=10000)
    of_command, seconds_of_command = run('-m', 'epsanet_cli', name, '--help', columns=10000)
    assert of_command == of_script.replace(f'usage: {script} ', f'usage: epsanet {name} ')
    assert '--debug' in of_command
    assert max(seconds, seconds_of_command) < SECONDS


def test_the_help_lists_every_command_on_one_line_and_is_fast():
    output, seconds = run('-m', 'epsanet_cli', '--help')
    lines = [line.split(maxsplit=1) for line in output.splitlines() if line.startswith('    ')]
    summaries = {
        name: module.__doc__.partition('\n')[0].rstrip('.') for name, module in COMMANDS.items()
    }
    assert summaries.items() <= {tuple(words) for words in lines if len(words) == 2}
    assert seconds < SECONDS


def test_parsers_import_no_heavy_package():
    program = 'import sys; from epsanet_cli.overview import overview; overview()'
    output, _ = run('-c', f'{program}; print(*sys.modules)')
    assert not HEAVY & {name.split('.')[0] for name in output.split()}


def test_the_page_about_the_command_line_lists_every_command_with_its_script():
    page = (ROOT / 'docs' / 'command_line.md').read_text()
    for script in SCRIPTS:
        assert any(
            f'`epsanet {name_of(script)}`' in row and f'`tools/{script}`' in row
            for row in page.splitlines()
        )
