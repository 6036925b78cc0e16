"""Tools that became benchmarks still run under their old names, and name the new ones."""

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize(
    'old, new',
    [
        ('benchmark_check', 'dataset_check'),
        ('benchmark_transplant', 'weight_transfer'),
        ('check_long_run', 'long_run'),
    ],
)
def test_an_old_command_runs_and_names_the_new_one(old, new):
    command = [sys.executable, str(ROOT / 'tools' / f'{old}.py'), '--help']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert '\nusage: ' in f'\n{done.stdout}'  # OneDL prints first
    assert f'{old}.py is deprecated; use benchmarks/{new}.py' in done.stderr
