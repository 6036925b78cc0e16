"""The machine's description names the device and the versions that its speed depends on."""

import torch
from torch.utils import collect_env

from epsanet_mmdet.benchmark.machine import describe_machine


def test_a_cpu_comes_with_its_instructions():
    described = describe_machine(torch.device('cpu'))
    assert described['device'].endswith(torch.backends.cpu.get_cpu_capability())
    assert described['torch'] == torch.__version__
    assert not {'cuda', 'driver', 'triton'} & set(described)


def test_a_gpu_comes_with_what_computes_on_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device: 'NVIDIA H100')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (9, 0))
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    monkeypatch.setattr(torch.backends.cudnn, 'version', lambda: 91002)
    # The head of what nvidia-smi prints.
    smi = '| NVIDIA-SMI 580.65.06      Driver Version: 580.65.06      CUDA Version: 13.0  |'
    monkeypatch.setattr(collect_env, 'run', lambda command: (0, smi, ''))
    described = describe_machine(torch.device('cuda', 0))
    expected = dict(
        device='NVIDIA H100', compute_capability='9.0', driver='580.65.06', cuda='13.0', cudnn=91002
    )
    assert expected.items() <= described.items()


def test_what_is_unknown_is_left_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device: 'some GPU')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (7, 5))
    monkeypatch.setattr(collect_env, 'run', lambda command: (127, '', 'not found'))
    described = describe_machine(torch.device('cuda', 0))
    assert 'driver' not in described and None not in described.values()
