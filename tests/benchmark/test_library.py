"""Passes with ``+library`` switch off the package's kernels of every kind that is installed."""

import sys
from contextlib import contextmanager
from types import ModuleType

import pytest

from epsanet_mmdet.benchmark.library import SWITCHES, library_only


@pytest.fixture
def switches(monkeypatch):
    """Stand-ins for the modules with kernels, and the values that they were switched to."""
    values = {}
    for path, name, _ in SWITCHES:
        values[name] = 'as installed'

        @contextmanager
        def switch(value, name=name):
            before, values[name] = values[name], value
            yield
            values[name] = before

        module = ModuleType(path)
        setattr(module, name, switch)
        monkeypatch.setitem(sys.modules, path.replace('..', 'epsanet_mmdet.'), module)
    return values


def test_switches_off_the_kernels_for_cpus_and_gpus(switches):
    switched_off = library_only()
    for _ in range(2):
        with switched_off():
            assert switches == dict(use_instruction_set=None, use_gpu_kernels=False)
        assert set(switches.values()) == {'as installed'}


def test_kernels_that_are_not_installed_need_no_switch(switches, monkeypatch):
    monkeypatch.setitem(sys.modules, 'epsanet_mmdet.ops.gpu.setting', None)
    with library_only()():
        assert switches == dict(use_instruction_set=None, use_gpu_kernels='as installed')
