"""Memory allocation for tensors on CPUs."""

import ctypes
import os
import sys
from typing import Optional

from mmengine.device import get_device

# Parameters of glibc's mallopt, and the environment variables that set them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
VARIABLES = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'GLIBC_TUNABLES')
KEPT = 1 << 30  # bytes of freed memory that the process may keep
LARGEST = 32 << 20  # bytes of the largest tensor that may reuse it; the maximum of glibc


def reuse_memory(device: Optional[str] = None) -> None:
    """Let tensors on CPUs reuse freed memory, and use huge pages for large ones.

    Otherwise memory is returned to the system and zeroed again page by page, which may take as
    long as the network itself (docs/benchmarks.md). This affects the whole process, so it is meant
    for tools. Environment variables take precedence. Only Linux with glibc is affected.

    Args:
        device: Device that will compute; nothing is changed unless it is a CPU. Default: a GPU if
            there is one.
    """
    if sys.platform != 'linux' or not (device or get_device()).startswith('cpu'):
        return
    os.environ.setdefault('THP_MEM_ALLOC_ENABLE', '1')  # torch reads it at its first tensor
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt and not any(variable in os.environ for variable in VARIABLES):
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_MMAP_THRESHOLD, LARGEST)
