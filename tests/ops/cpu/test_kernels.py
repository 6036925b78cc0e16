"""Loading the kernels and choosing an instruction set."""

from pathlib import Path

import pytest

from epsanet_mmdet.ops.cpu import kernels

SETS = kernels.instruction_sets()
needs_kernel = pytest.mark.skipif(not SETS, reason='the kernels were not built')


def test_a_set_that_is_not_there_is_refused_in_one_line():
    with pytest.raises(ValueError, match='sse9') as caught:
        with kernels.use_instruction_set('sse9'):
            pass
    assert '\n' not in str(caught.value)


def test_switching_is_undone_also_after_an_error():
    before = kernels.instruction_set()
    with pytest.raises(KeyError):
        with kernels.use_instruction_set(None):
            assert kernels.instruction_set() is None
            raise KeyError
    assert kernels.instruction_set() == before


def test_an_environment_variable_switches_it_off(monkeypatch):
    monkeypatch.setenv('EPSANET_CPU_KERNELS', 'off')
    assert kernels.default_instruction_set() is None


@pytest.mark.parametrize('name', SETS)
def test_an_environment_variable_picks_the_instruction_set(monkeypatch, name):
    monkeypatch.setenv('EPSANET_CPU_KERNELS', name)
    assert kernels.default_instruction_set() == name


@needs_kernel
def test_the_fastest_is_the_default(monkeypatch):
    monkeypatch.delenv('EPSANET_CPU_KERNELS', raising=False)
    assert kernels.default_instruction_set() == SETS[0]
    assert SETS[-1] == 'plain'


def test_a_mistake_in_the_environment_variable_is_named_in_one_line(monkeypatch):
    monkeypatch.setenv('EPSANET_CPU_KERNELS', 'avx1024')
    with pytest.raises(ValueError, match="EPSANET_CPU_KERNELS='avx1024'.* off") as caught:
        kernels.default_instruction_set()
    assert '\n' not in str(caught.value)


@needs_kernel
def test_a_kernel_of_another_version_is_not_used(monkeypatch):
    path = Path(kernels.__file__).with_name('_cpu_kernels.so')
    assert kernels.load_kernels(path)
    monkeypatch.setattr(kernels, 'NUMBERS', (8, 19, 11, 19, 11, 12))
    with pytest.warns(UserWarning, match='of another version and not used; install'):
        assert kernels.load_kernels(path) is None


def test_a_missing_or_broken_file_leaves_the_library(tmp_path):
    (tmp_path / 'broken.so').write_bytes(b'not a library')
    assert kernels.load_kernels(tmp_path / 'missing.so') is None
    assert kernels.load_kernels(tmp_path / 'broken.so') is None
