"""A process whose Triton interprets kernels on the CPU, for the tests marked ``interpreted``.

``TRITON_INTERPRET`` counts when Triton is imported, and Triton stays imported: so these tests run
in a process of their own, which all of them share.
"""

import functools
import importlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import pytest
import torch


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Call a test marked ``interpreted`` in the process."""
    if pyfuncitem.get_closest_marker('interpreted') is None:
        return None
    pytest.importorskip('triton')
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    call(pyfuncitem.module.__name__, pyfuncitem.originalname, arguments)
    return True


@functools.cache
def interpreter() -> ProcessPoolExecutor:
    """Return the process."""
    pool = ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))
    with mock.patch.dict(os.environ, TRITON_INTERPRET='1'):
        pool.submit(_start).result()
    return pool


def call(module: str, name: str, arguments: dict) -> None:
    """Call a test in the process.

    Args:
        module: Its module.
        name: Its name.
        arguments: Its arguments, which are pickled.
    """
    interpreter().submit(_call, module, name, arguments).result()


def _start() -> None:
    import triton

    assert triton.knobs.runtime.interpret
    torch.set_num_threads(1)


def _call(module: str, name: str, arguments: dict) -> None:
    torch.manual_seed(0)
    getattr(importlib.import_module(module), name)(**arguments)
