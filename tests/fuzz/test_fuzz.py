"""Files changed at random run no code, take little time and memory, and end in clear errors.

These are a few hundred files; ``run_fuzz.py`` beside this reads as many as it is told to.
"""

import ctypes
import importlib.util
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import oracle
import pytest
import targets
import torch
from crafted_checkpoints import attacks, write

from epsanet_mmdet.errors import UserError
from epsanet_mmdet.own_data.lint import run as checking

SCRIPT = Path(__file__).parent / 'run_fuzz.py'


@pytest.fixture
def folder(monkeypatch):
    monkeypatch.setattr(checking, 'read_images', checking.read_images)  # the targets replace it
    path = targets.scratch()
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize('name', targets.TARGETS)
def test_changed_files_do_no_harm(name, folder, capfd):
    target = targets.build(name, folder)
    limit = oracle.peak_memory() + target.memory
    rng = random.Random(name)
    end = time.monotonic() + 4
    for number in range(150):
        content = rng.choice(target.seeds)
        for _ in range(rng.choice((1, 1, 2, 5))):
            content = target.mutate(content, rng)
        target.write(content)
        begin = time.process_time()
        oracle.check(target.read, limit)
        assert time.process_time() - begin < 5
        if time.monotonic() > end and number >= 20:
            break


@pytest.mark.parametrize('name', targets.TARGETS)
def test_the_files_to_begin_with_are_read(name, folder):
    """Otherwise the changed ones would test only the first check."""
    target = targets.build(name, folder)
    for content in target.seeds:
        target.write(content)
        try:
            target.read()
        except UserError:
            assert name == 'coco' or name == 'yolo', 'an honest file was refused'


# The watch itself


@pytest.mark.parametrize('attack', ['system', 'eval', 'exec', 'open', 'popen'])
def test_an_unrestricted_load_is_caught(attack, tmp_path):
    path = write(tmp_path / 'evil.pth', attacks(tmp_path / 'ran')[attack][0])
    with pytest.raises(oracle.Broken, match='ran code'):
        oracle.check(lambda: torch.load(path, weights_only=False), 2**40)


def test_a_call_of_a_c_function_is_caught_and_a_cast_of_a_pointer_is_not():
    with pytest.raises(oracle.Broken, match='ctypes'):
        oracle.check(lambda: ctypes.CDLL(None).getpid(), 2**40)
    numbers = (ctypes.c_ubyte * 4)()
    assert oracle.check(lambda: ctypes.cast(numbers, ctypes.POINTER(ctypes.c_ubyte)), 2**40)


def test_writing_is_caught(tmp_path):
    with pytest.raises(oracle.Broken, match='ran code'):
        oracle.check((tmp_path / 'a').touch, 2**40)


def test_memory_is_caught():
    peak = oracle.peak_memory()
    with pytest.raises(oracle.Broken, match='MiB'):
        oracle.check(lambda: b'x' * (peak + 2**26), peak + 2**20)


def test_other_errors_are_let_through_and_users_errors_are_not():
    def fail(error):
        raise error

    assert oracle.check(lambda: fail(UserError('a clear one')), 2**40) is False
    with pytest.raises(ZeroDivisionError):
        oracle.check(lambda: 1 / 0, 2**40)
    with pytest.raises(oracle.Broken, match='many lines'):
        oracle.check(lambda: fail(UserError('a\nb')), 2**40)


@pytest.mark.skipif(
    importlib.util.find_spec('atheris') is None, reason='atheris is not installed (Linux only)'
)
def test_the_fuzzer_runs(tmp_path):
    command = [sys.executable, str(SCRIPT), 'checkpoints', '--runs', '500', '--timeout', '30']
    done = subprocess.run([*command, '--keep', str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'checkpoints: 500 files' in done.stdout
