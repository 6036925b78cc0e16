"""When the GPU kernels are used."""

import functools
import os
import warnings
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Callable, Iterator, Optional

import torch

VARIABLE = 'EPSANET_GPU_KERNELS'
LEAST_CAPABILITY = (8, 0)  # tensor cores for bfloat16 and TensorFloat-32
LEAST_TRITON = (3, 4)


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


def give_up(error: Exception) -> None:
    """Use torch's own operations from now on, and warn once."""
    lines = str(error).strip().splitlines()
    reason = ': '.join([type(error).__name__, *lines[:1]])
    if _State.failure is None:
        _State.failure = reason
        _warn(reason)


@functools.cache
def _is_supported(device: torch.device) -> bool:
    capability = torch.cuda.get_device_capability(device)
    if torch.version.hip or capability < LEAST_CAPABILITY:
        own = "not NVIDIA's" if torch.version.hip else 'of {}.{}'.format(*capability)
        reason = f'they need an NVIDIA GPU of compute capability 8.0, but this one is {own}'
    else:
        reason = _missing_triton()
    if reason:
        _warn(reason)
    return reason is None


def _missing_triton() -> Optional[str]:
    try:
        version = import_module('triton').__version__
    except ModuleNotFoundError:
        return 'Triton is not installed; run: pip install triton'
    except Exception as error:  # such as a library of the system that is too old for it
        return f'Triton cannot be imported ({error}); install it again: pip install -U triton'
    if tuple(map(int, version.split('.')[:2])) < LEAST_TRITON:
        return f'they need Triton 3.4, which comes with torch 2.8, but this is Triton {version}'
    return None


def guarded(compute: Callable[[], Any]) -> Any:
    """Return the result, or None if the kernels fail, which then are not used any more.

    While a CUDA graph is captured, errors are raised, since the capture fails with them.
    """
    try:
        return compute()
    except Exception as error:
        if is_out_of_memory(error) or is_capturing():
            raise
        give_up(error)
        return None


def is_capturing() -> bool:
    """Return True if the current stream is captured in a CUDA graph."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def is_out_of_memory(error: Exception) -> bool:
    """Return True if a GPU has too little free memory; Triton raises a plain error for it."""
    return isinstance(error, torch.OutOfMemoryError) or '[CUDA]: out of memory' in str(error)


def _warn(reason: str) -> None:
    warnings.warn(
        f"EPSANet is computed by torch's own operations, without the faster GPU kernels: {reason}",
        stacklevel=2,
    )
