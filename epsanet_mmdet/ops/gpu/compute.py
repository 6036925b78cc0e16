"""What computes a map on a GPU: the type of values, the precision of products, the GPU's size."""

import functools
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .plan import FLOAT32, HALF, TF32


class Compute(NamedTuple):
    """What computes.

    Attributes:
        dtype: Type of the maps.
        precision: Precision of products, see :mod:`.plan`.
        multiprocessors: Multiprocessors of the GPU.
    """

    dtype: torch.dtype
    precision: str
    multiprocessors: int


def compute_of(x: Tensor) -> Optional[Compute]:
    """Return what computes x by torch's settings, or None if the kernels have not its type."""
    casts = torch.is_autocast_enabled(x.device.type)
    dtype = torch.get_autocast_dtype(x.device.type) if casts else x.dtype
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return None
    if dtype != torch.float32:
        precision = HALF
    else:
        precision = TF32 if torch.backends.cudnn.allow_tf32 else FLOAT32
    return Compute(dtype, precision, _multiprocessors(x.device))


@functools.cache
def _multiprocessors(device: torch.device) -> int:
    if device.type != 'cuda':
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count
