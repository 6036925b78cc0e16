"""Where the GPU kernels do not work, torch computes the same, and one warning names the reason."""

import sys
import types
import warnings

import pytest
import torch
from closeness import assert_close
from fusing import plainly
from norm_statistics import randomise

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.gpu import epsanet as on_gpu
from epsanet_mmdet.ops.gpu import setting
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import FLOAT32

GPU = torch.device('cuda', 0)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No failure yet, and a GPU of capability 9.0."""
    monkeypatch.setattr(setting._State, 'failure', None)
    monkeypatch.delenv(setting.VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (9, 0))
    setting._is_supported.cache_clear()
    yield
    setting._is_supported.cache_clear()


def warnings_of(function, times=3):
    """The last result of repeated calls, and all their warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for _ in range(times):
            result = function()
    return result, [str(warning.message) for warning in caught]


def refused():
    """The one warning with which a GPU is refused."""
    used, messages = warnings_of(lambda: setting.gpu_kernels(GPU))
    assert not used
    (message,) = messages
    assert '\n' not in message and "torch's own operations" in message
    return message


@pytest.fixture
def triton(monkeypatch):
    """A Triton that is new enough; its version can be changed."""
    module = types.ModuleType('triton')
    module.__version__ = '3.6.0'
    monkeypatch.setitem(sys.modules, 'triton', module)
    return module


def test_new_gpus_with_a_new_triton_are_used(triton, monkeypatch):
    for capability in ((8, 0), (8, 9), (9, 0), (12, 0), (99, 7)):
        setting._is_supported.cache_clear()
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda d: capability)  # noqa: B023
        assert warnings_of(lambda: setting.gpu_kernels(GPU)) == (True, [])


def test_old_gpus(triton, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (7, 5))
    assert 'capability 8.0, but this one is of 7.5' in refused()


def test_gpus_of_another_vendor(triton, monkeypatch):
    monkeypatch.setattr(torch.version, 'hip', '6.2')
    assert "an NVIDIA GPU of compute capability 8.0, but this one is not NVIDIA's" in refused()


def test_no_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, 'triton', None)
    assert refused().endswith('Triton is not installed; run: pip install triton')


def test_a_broken_triton(monkeypatch):
    def broken(name):
        raise ImportError("/lib/libc.so.6: version `GLIBC_2.38' not found")

    monkeypatch.setattr(setting, 'import_module', broken)
    assert 'cannot be imported (/lib/libc.so.6' in refused()


@pytest.mark.parametrize('version', ['2.3.1', '3.2.0', '3.3.1+git1234'])
def test_an_old_triton(triton, version):
    triton.__version__ = version
    assert f'but this is Triton {version}' in refused()


def test_the_environment_turns_them_off_in_silence(triton, monkeypatch):
    monkeypatch.setenv(setting.VARIABLE, 'off')
    assert warnings_of(lambda: setting.gpu_kernels(GPU)) == (False, [])


def test_a_context_turns_them_off_in_silence(triton):
    with setting.use_gpu_kernels(False):
        assert warnings_of(lambda: setting.gpu_kernels(GPU)) == (False, [])
    assert setting.gpu_kernels(GPU)


@pytest.fixture
def failing(triton, monkeypatch):
    """Kernels whose block fails in the middle of a pass; a CPU stands for the GPU."""
    state = types.SimpleNamespace(error=None, calls=0)

    class Failing:
        def __init__(self, *args):
            pass

        def __call__(self, x):
            state.calls += 1
            x.clone().zero_()  # what it computed until then
            raise state.error

    module = types.ModuleType('evaluation')
    module.EvaluatedBlock = Failing
    monkeypatch.setitem(sys.modules, 'epsanet_mmdet.ops.gpu.evaluation', module)
    compute = Compute(torch.float32, FLOAT32, 8)
    monkeypatch.setattr(on_gpu, '_compute', lambda x: compute if setting.gpu_kernels(GPU) else None)
    monkeypatch.setattr(on_gpu, '_is_plain', lambda tensors, compute: True)
    monkeypatch.setattr('epsanet_mmdet.ops.epsanet.on_cpu', on_gpu_for_blocks())
    return state


def on_gpu_for_blocks():
    """The GPU's implementation of blocks, and none of the stem."""
    return types.SimpleNamespace(block_forward=on_gpu.block_forward, stem_forward=lambda *a: None)


@pytest.fixture
def network():
    return randomise(EPSANet(50)).eval()


ERRORS = {
    'no compiler': RuntimeError('Failed to find C compiler. Please specify via CC variable.\nMore'),
    'an unknown GPU': RuntimeError("ptxas fatal: Value 'sm_999' is not defined"),
    'an old driver': RuntimeError('Triton Error [CUDA]: the provided PTX was compiled with an'),
    'too much shared memory': ValueError('out of resource: shared memory, Required: 1, limit: 0'),
    'a wrong result': AssertionError(),
}


@pytest.mark.parametrize('name', ERRORS)
@torch.no_grad()
def test_after_a_failure_torch_computes(failing, network, name):
    failing.error, images = ERRORS[name], torch.randn(1, 3, 33, 40)
    outputs, messages = warnings_of(lambda: network(images))
    with plainly():
        assert_close(outputs, network(images), 1e-6)
    (message,) = messages
    assert failing.calls == 1 and '\n' not in message
    assert type(failing.error).__name__ in message and 'More' not in message
    assert str(failing.error).split('\n')[0] in message


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory.'),
        RuntimeError('Triton Error [CUDA]: out of memory'),
    ],
    ids=['torch', 'Triton'],
)
@torch.no_grad()
def test_too_little_memory_is_no_failure_of_the_kernels(failing, network, error):
    failing.error = error
    with pytest.raises(type(error), match='out of memory'):
        network(torch.randn(1, 3, 33, 40))
    assert setting._State.failure is None


@torch.no_grad()
def test_an_interruption_is_no_failure(failing, network):
    failing.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        network(torch.randn(1, 3, 33, 40))
    assert setting._State.failure is None
