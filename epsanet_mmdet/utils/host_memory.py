"""How this process's tensors on CPUs get memory."""

import ctypes
import os
import sys
from typing import Optional

from mmengine.device import get_device

# Of glibc's mallopt, each with the environment variable that sets it too.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
VARIABLES = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'GLIBC_TUNABLES')
KEPT = 1 << 30  # bytes that may stay with the process
LARGEST = 32 << 20  # bytes of a tensor that may take freed memory, the most that glibc allows


def reuse_memory(device: Optional[str] = None) -> None:
    """Let tensors on CPUs take the memory of freed ones, and large tensors large pages.

    Otherwise memory goes back to the system and comes back zeroed, one small page at a time, which
    may take as long as the network itself (docs/benchmarks.md). For the tools: it concerns the
    whole process. What the environment says about it stays. It acts on Linux with glibc.

    Args:
        device: That will compute; nothing happens if it is no CPU. A GPU if there is one, by
            default.
    """
    if sys.platform != 'linux' or not (device or get_device()).startswith('cpu'):
        return
    os.environ.setdefault('THP_MEM_ALLOC_ENABLE', '1')  # which torch reads at its first tensor
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt and not any(variable in os.environ for variable in VARIABLES):
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_MMAP_THRESHOLD, LARGEST)
