"""Tensors on CPUs reuse freed memory, as the page faults of the system show."""

import os
import runpy
import subprocess
import sys

import pytest
from conftest import ROOT

from epsanet_mmdet.engine import mmdet_tools
from epsanet_mmdet.utils import host_memory

PROGRAM = """
import resource, sys
from epsanet_mmdet.utils.host_memory import reuse_memory
import torch
if sys.argv[1] != 'never':
    reuse_memory(sys.argv[1])
for round in range(12):
    if round == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    maps = [torch.ones(int(sys.argv[2]) << 18) for _ in range(4)]
    del maps
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='acts on Linux')


def page_faults(device, megabytes, **variables):
    """Of four tensors at a time, ten times."""
    command = [sys.executable, '-W', 'ignore', '-c', PROGRAM, device, str(megabytes)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(('MALLOC', 'THP'))}
    result = subprocess.run(
        command, env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    return int(result.stdout.splitlines()[-1])  # OneDL prints, too


def pages(megabytes):
    return 40 * megabytes * 2**20 // os.sysconf('SC_PAGESIZE')


def test_tensors_reuse_the_memory_of_freed_ones():
    # Whether they do so otherwise depends on what the process did before.
    assert page_faults('cpu', 8) < 0.05 * pages(8)


@pytest.mark.skipif(
    not os.path.exists('/sys/kernel/mm/transparent_hugepage/enabled'), reason='no large pages'
)
def test_large_tensors_get_large_pages():
    with open('/sys/kernel/mm/transparent_hugepage/enabled') as file:
        if '[never]' in file.read():
            pytest.skip('large pages are switched off')
    assert page_faults('never', 128, THP_MEM_ALLOC_ENABLE='0') > 0.5 * pages(128)
    assert page_faults('cpu', 128) < 0.2 * pages(128)


def test_a_process_that_computes_on_a_gpu_is_left_alone():
    assert page_faults('cuda', 128) > 0.5 * pages(128)


def test_environment_variables_take_precedence():
    # Nothing is kept, and large pages are off.
    variables = dict(MALLOC_TRIM_THRESHOLD_='0', MALLOC_MMAP_THRESHOLD_='65536')
    assert page_faults('cpu', 8, THP_MEM_ALLOC_ENABLE='0', **variables) > 0.5 * pages(8)


@pytest.mark.parametrize(
    'tool, arguments, device',
    [
        ('train', ['absent'], None),
        ('test', ['absent', 'absent.pth'], None),
        ('infer', ['absent', 'absent.pth', 'absent.jpg', '--device', 'cpu'], 'cpu'),
        ('benchmark', ['absent', '--device', 'cpu'], 'cpu'),
    ],
)
def test_the_tools_use_it_before_they_compute(tool, arguments, device, monkeypatch):
    given = []

    def spy(device=None):
        given.append(device)

    for module in (host_memory, mmdet_tools):
        monkeypatch.setattr(module, 'reuse_memory', spy)
    monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *arguments])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / 'tools' / f'{tool}.py'), run_name='__main__')
    assert given == [device]
