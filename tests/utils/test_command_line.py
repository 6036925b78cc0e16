"""The edge of every command: one line for an error, the traceback with --debug, 130 on Ctrl-C."""

import errno
import sys

import pytest
from tool_process import interrupt, start

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.utils.command_line import run_command, step


def line_of(error: BaseException, *steps: str) -> str:
    def main():
        for what in reversed(steps):
            try:
                with step(what):
                    raise error
            except type(error):
                pass
        raise error

    with pytest.raises(SystemExit) as caught:
        run_command(main)
    assert '\n' not in caught.value.code
    return caught.value.code


def test_errors_for_users_are_printed_as_they_are():
    assert line_of(DataError("'a.json' is empty")) == "error: 'a.json' is empty"


def test_control_characters_of_names_do_not_reach_the_terminal():
    assert line_of(DataError('\x1b[2J\n')) == 'error: \\x1b[2J\\n'


def test_the_innermost_step_is_named():
    line = line_of(KeyError('optimizer'), 'training', "resuming from 'a.pth'")
    assert line.startswith("error: resuming from 'a.pth' failed: KeyError: 'optimizer'; ")
    assert line.endswith('run again with --debug for the traceback')


def test_without_a_step_the_command_is_named(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tools/report.py'])
    assert line_of(ValueError('\n\nfirst\nsecond')).startswith(
        'error: report.py failed: ValueError: first; '
    )


def test_a_file_that_cannot_be_read_is_named():
    error = PermissionError(errno.EACCES, 'Permission denied', '/data/a.jpg')
    assert "'/data/a.jpg': Permission denied" in line_of(error)


def test_a_full_disk_is_named_with_its_remedy():
    error = OSError(errno.ENOSPC, 'No space left on device', '/data/runs/a.log')
    assert "cannot write to '/data/runs': the disk is full" in line_of(error)


def test_debug_raises_the_error_itself_wherever_it_is_given(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tool', '--names', 'a', '--debug', 'b'])

    def main():
        parser = CommandParser()
        parser.add_argument('--names', nargs='+')
        assert vars(parser.parse_args()) == dict(names=['a', 'b'])
        raise KeyError('mine')

    with pytest.raises(KeyError, match='mine'):
        run_command(main)


def test_a_step_keeps_the_type_of_an_error():
    with pytest.raises(KeyError), step('a step'):
        raise KeyError


def test_ctrl_c_is_one_line_and_status_130(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_command(main)
    assert caught.value.code == 130
    assert capsys.readouterr().err == 'interrupted\n'


def test_ctrl_c_ends_a_benchmark_with_one_line():
    process = start(
        'tools/benchmark.py', 'epsanet50-s', '--training', '1x64x64', '--repeats', '9999'
    )
    while 'training at' not in (line := process.stderr.readline()):
        assert line, 'the benchmark has ended'
    assert interrupt(process) == 'interrupted'
