"""Tests marked ``interpreted`` run where Triton interprets kernels on the CPU."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if pyfuncitem.get_closest_marker('interpreted') is None:
        return None
    pytest.importorskip('triton')
    import interpreter

    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    interpreter.call(pyfuncitem.module.__name__, pyfuncitem.originalname, arguments)
    return True
