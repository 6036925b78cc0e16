"""The machine that a benchmark runs on."""

from typing import Any, Dict

import torch
from torch.utils import collect_env

from ..utils.environment import installed_version, processor
from ..version import __version__


def describe_machine(device: torch.device) -> Dict[str, Any]:
    """Return the device, the threads and the versions; those that are unknown are left out.

    A CPU comes with its widest instructions, a GPU with its compute capability, its driver and the
    libraries that compute on it.
    """
    described = dict(
        **(_gpu(device) if device.type == 'cuda' else _cpu()),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        epsanet_mmdet=__version__,
    )
    return {key: value for key, value in described.items() if value is not None}


def _cpu() -> Dict[str, Any]:
    return dict(device=f'{processor()}, {torch.backends.cpu.get_cpu_capability()}')


def _gpu(device: torch.device) -> Dict[str, Any]:
    return dict(
        device=torch.cuda.get_device_name(device),
        compute_capability='.'.join(map(str, torch.cuda.get_device_capability(device))),
        driver=collect_env.get_nvidia_driver_version(collect_env.run),
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        triton=installed_version('triton'),
    )
