"""Slow tests start first on every worker, the longest before the others."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT / 'tests')!r})
from slow_first import pytest_collection_modifyitems

def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: takes minutes')
"""
TESTS = """
import os, pytest

@pytest.fixture(autouse=True)
def log(request):
    with open('log', 'a') as file:
        print(os.environ.get('PYTEST_XDIST_WORKER'), request.node.name, file=file)

@pytest.mark.parametrize('i', range(12))
def test_quick(i):
    pass

@pytest.mark.slow
def test_slow():
    pass

@pytest.mark.slow(minutes=7)
def test_long():
    pass

@pytest.mark.slow(minutes=9)
def test_longest():
    pass
"""


@pytest.fixture
def started(tmp_path):
    """Run the tests above and return the worker and name of each in order of start."""
    (tmp_path / 'conftest.py').write_text(CONFTEST)
    (tmp_path / 'test_dummies.py').write_text(TESTS)
    env = {k: v for k, v in os.environ.items() if not k.startswith('PYTEST')}

    def run(*arguments):
        command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *arguments]
        subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
        return [line.split() for line in (tmp_path / 'log').read_text().splitlines()]

    return run


def test_each_of_two_workers_begins_with_one_of_the_longest(started):
    order = started('-n', '2', '--dist', 'worksteal')
    first = dict(reversed(order))
    assert sorted(first.values()) == ['test_long', 'test_longest']


@pytest.mark.parametrize(
    ('arguments', 'count'), [(['-n', '2'], 15), (['-n', '4'], 15), (['-m', 'slow', '-n', '2'], 3)]
)
def test_every_test_that_is_asked_for_runs_once(started, arguments, count):
    order = started('--dist', 'worksteal', *arguments)
    assert len({name for _, name in order}) == len(order) == count


def test_a_single_process_keeps_the_order_of_the_files(started):
    names = [name for _, name in started('-p', 'no:xdist')]
    assert names == [
        *(f'test_quick[{i}]' for i in range(12)),
        'test_slow',
        'test_long',
        'test_longest',
    ]
