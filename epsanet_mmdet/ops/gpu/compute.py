"""What computes a map on a GPU: the type of values, the precision of products, the GPU's size."""

import functools
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .plan import FLOAT32, HALF, SHARED_MEMORY, TF32


class Compute(NamedTuple):
    """What computes.

    Attributes:
        dtype: Type of the maps.
        precision: Precision of products, see :mod:`.plan`.
        multiprocessors: Multiprocessors of the GPU.
        shared_memory: Bytes of shared memory that a program may use.
        wgmma: See :func:`.plan.conv_plan`.
        device: The GPU, whose tuned plans are used; None for the rules alone.
    """

    dtype: torch.dtype
    precision: str
    multiprocessors: int
    shared_memory: int = SHARED_MEMORY
    wgmma: bool = True
    device: Optional[torch.device] = None


def compute_of(x: Tensor) -> Optional[Compute]:
    """Return what computes x by torch's settings, or None if the kernels have not its type."""
    casts = torch.is_autocast_enabled(x.device.type)
    return compute_on(x.device, torch.get_autocast_dtype(x.device.type) if casts else x.dtype)


def compute_on(device: torch.device, dtype: torch.dtype) -> Optional[Compute]:
    """Return what computes maps of a type on a device, or None if the kernels have not the type."""
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return None
    if dtype != torch.float32:
        precision = HALF
    else:
        precision = TF32 if _allows_tf32() else FLOAT32
    return Compute(dtype, precision, *_size(device), device)


def _allows_tf32() -> bool:
    try:
        return torch.backends.cudnn.allow_tf32
    except RuntimeError:  # it was set by torch's newer settings, with which this one must not mix
        return torch.backends.cudnn.conv.fp32_precision == 'tf32'


@functools.cache
def _size(device: torch.device) -> tuple:
    if device.type != 'cuda':
        return 1, SHARED_MEMORY, True
    found = torch.cuda.get_device_properties(device)
    shared = getattr(found, 'shared_memory_per_block_optin', SHARED_MEMORY)
    return found.multi_processor_count, shared, found.major in (9, 10)


def as_nhwc(x: Tensor, compute: Compute) -> Tensor:
    """Return a map (B, C, H, W) as (B, H, W, C) of the type that computes, contiguous."""
    return x.to(compute.dtype, memory_format=torch.channels_last).permute(0, 2, 3, 1)


def as_nchw(x: Tensor) -> Tensor:
    """Return a map (B, H, W, C) as (B, C, H, W), in channels-last memory."""
    return x.permute(0, 3, 1, 2)
