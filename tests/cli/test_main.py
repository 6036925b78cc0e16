"""``epsanet`` without a command answers in one line, or with its help."""

import subprocess
import sys

import pytest
from conftest import ROOT

import epsanet_mmdet
from epsanet_cli import main

WITHOUT = """
import sys
from importlib import metadata

find = metadata.version

def version(name):
    if any(part in name for part in {absent!r}):
        raise metadata.PackageNotFoundError(name)
    return find(name)

metadata.version = version
sys.argv = ['epsanet', 'train', 'absent.py', *{more!r}]
from epsanet_cli.main import main
main()
"""


def run(capsys, monkeypatch, *arguments: str):
    """Run ``epsanet`` in this process; return its status and what it printed."""
    monkeypatch.setattr(sys, 'argv', ['epsanet', *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    printed = capsys.readouterr()
    return caught.value.code, printed.out, printed.err


@pytest.mark.parametrize(
    'word, hint',
    [
        ('trian', "did you mean 'train'?"),
        ('new_config', "did you mean 'new-config'?"),
        ('\x1b[2Jtrain', "did you mean 'train'?"),
        ('xyzzy', 'choose one of train, test, infer, '),
    ],
)
def test_an_unknown_command_is_answered_in_one_line_with_the_nearest(
    word, hint, capsys, monkeypatch
):
    status, out, err = run(capsys, monkeypatch, word, '--out', 'x')
    assert (status, out) == (2, '')
    assert err.startswith(f'error: there is no command {word!r}; {hint}')
    assert err.count('\n') == 1 and err.rstrip('\n').isprintable()


def test_garbage_collection_examines_nothing_that_the_import_created():
    """But it does examine what a program that calls a command has created before."""
    program = """
import gc
from epsanet_cli.main import import_package
import_package()
print(len(gc.get_objects()) < 10000, gc.get_freeze_count() > 100000, gc.isenabled())
mine = []
import_package()
print(any(thing is mine for thing in gc.get_objects()))
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('True True True\nTrue\n', '')


@pytest.mark.parametrize('when', ['before', 'after'])
def test_the_exit_is_silent_with_triton(when):
    pytest.importorskip('triton')
    lines = ['import triton', 'from epsanet_cli.main import import_package; import_package()']
    program = '\n'.join(lines if when == 'before' else reversed(lines))
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('', '')


@pytest.mark.parametrize('arguments', [[], ['--debug']], ids=str)
def test_without_a_command_the_help_is_an_error(arguments, capsys, monkeypatch):
    status, out, err = run(capsys, monkeypatch, *arguments)
    assert (status, out) == (2, '')
    assert err.startswith('usage: epsanet ') and 'new-config' in err


def test_the_version_is_that_of_the_package(capsys, monkeypatch):
    version = f'epsanet_mmdet {epsanet_mmdet.__version__}\n'
    assert run(capsys, monkeypatch, '--version') == (0, version, '')


@pytest.mark.parametrize(
    'arguments', [['--wrong'], ['--wrong', 'train', 'a'], ['--', 'train', 'a']]
)
def test_wrong_options_before_the_command_are_refused(arguments, capsys, monkeypatch):
    status, _, err = run(capsys, monkeypatch, *arguments)
    assert status == 2 and err.splitlines()[-1].startswith('epsanet: error: ')


@pytest.mark.parametrize(
    'arguments, named',
    [
        (['train'], 'config'),
        (['infer', 'a', 'b', 'c', '--batch-size', 'two'], "'two'"),
        (['infer', 'a', 'b', 'c', '--\x1b[2J'], r'--\x1b[2J'),
        (['transplant', 'a.pth', '--method', 'magic'], "'magic'"),
        (['report', 'config.py'], 'CONFIG and CHECKPOINT'),
    ],
    ids=str,
)
def test_wrong_arguments_of_a_command_are_refused_with_its_usage(
    arguments, named, capsys, monkeypatch
):
    monkeypatch.setattr(main, 'import_package', lambda: pytest.fail('imports the package'))
    status, _, err = run(capsys, monkeypatch, *arguments)
    usage, *_, last = err.splitlines()
    assert status == 2 and usage.startswith(f'usage: epsanet {arguments[0]} ')
    assert last.startswith(f'epsanet {arguments[0]}: error: ') and named in last
    assert last.isprintable()


@pytest.mark.parametrize('place', range(4))
def test_debug_raises_the_error_itself_wherever_it_is(place, monkeypatch):
    arguments = ['convert-weights', 'absent.pth', '--config=absent']
    arguments.insert(place, '--debug')
    monkeypatch.setattr(sys, 'argv', ['epsanet', *arguments])
    with pytest.raises(epsanet_mmdet.errors.ConfigError, match='absent'):
        main.main()


def test_an_error_of_a_command_is_one_line(capsys, monkeypatch):
    status, _, _ = run(capsys, monkeypatch, 'convert-weights', 'absent.pth', '--config=absent')
    assert status.startswith("error: there is no config 'absent'") and '\n' not in status


@pytest.mark.parametrize(
    'absent, remedy',
    [
        (['torch'], "pip install 'torch>="),
        (['mmengine', 'mmcv', 'mmdet'], "pip install 'epsanet_mmdet[upstream]'"),
        (['mmcv'], 'mmcv>='),  # or onedl-mmcv
    ],
    ids=str,
)
def test_missing_packages_are_named_in_one_line_with_the_remedy(absent, remedy):
    def start(*more):
        program = WITHOUT.format(absent=absent, more=more)
        command = [sys.executable, '-c', program]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    done = start()
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
    assert 'pip install' in done.stderr and remedy in done.stderr
    assert 'Traceback' in start('--debug').stderr
