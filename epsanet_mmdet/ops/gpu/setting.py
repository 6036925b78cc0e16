"""When the GPU kernels are used."""

import functools
import os
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Iterator

import torch

VARIABLE = 'EPSANET_GPU_KERNELS'
LEAST_CAPABILITY = (8, 0)  # tensor cores for bfloat16 and TensorFloat-32


class _State:
    enabled = True
    failure = None  # the reason for which the kernels are not used any more


@contextmanager
def use_gpu_kernels(enabled: bool) -> Iterator[None]:
    """Use the GPU kernels, or torch's own operations, for comparisons.

    ``EPSANET_GPU_KERNELS=off`` in the environment has the same effect on a whole process.
    """
    before, _State.enabled = _State.enabled, enabled
    try:
        yield
    finally:
        _State.enabled = before


def gpu_kernels(device: torch.device) -> bool:
    """Return True if the GPU kernels are used on a device."""
    wanted = _State.enabled and _State.failure is None
    return wanted and os.environ.get(VARIABLE) != 'off' and _is_supported(device)


def give_up(reason: str) -> None:
    """Use torch's own operations from now on, and warn once."""
    if _State.failure is None:
        _State.failure = reason
        _warn(reason)


@functools.cache
def _is_supported(device: torch.device) -> bool:
    if torch.version.hip or torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        capability = '.'.join(map(str, torch.cuda.get_device_capability(device)))
        _warn(f'they need an NVIDIA GPU of compute capability 8.0, but this one has {capability}')
        return False
    if find_spec('triton') is None:
        _warn('Triton is not installed; run: pip install triton')
        return False
    return True


def _warn(reason: str) -> None:
    warnings.warn(
        f"EPSANet is computed by torch's own operations, without the faster GPU kernels: {reason}",
        stacklevel=2,
    )
