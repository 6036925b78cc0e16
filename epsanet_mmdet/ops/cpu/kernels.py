"""Load and call the package's own kernels for CPUs, and select their instruction set.

They are plain C++ without torch (``csrc``) and are built at installation if there is a compiler.
Without them, :func:`instruction_set` returns None and no kernel may be called.
"""

import ctypes
import os
import struct
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

import torch
from torch import Tensor

from ...errors import ArgumentError
from ..support import PLAIN_TENSORS, is_float32_on_cpu

VARIABLE = 'EPSANET_CPU_KERNELS'
# Number of fields of each struct in problem.h, in the order of epsanet_numbers.
NUMBERS = (8, 18, 11, 20, 11, 12, 6, 9, 16, 14, 17)
FUNCTIONS = (
    'pointwise',
    'max_pool',
    'attention',
    'moments',
    'affine',
    'affine_sums',
    'affine_gradient',
    'norm',
    'norm_gradient',
)


def instruction_sets() -> List[str]:
    """Return the names of the instruction sets built and supported here, the fastest first."""
    names = []
    while _library and (name := _library.epsanet_instruction_set(len(names))):
        names.append(name.decode())
    return names


def instruction_set() -> Optional[str]:
    """Return the name of the instruction set in use, or None if the kernels are not used."""
    return _instruction_set


@contextmanager
def use_instruction_set(name: Optional[str]) -> Iterator[None]:
    """Use another of the :func:`instruction_sets`, or with None torch's own operations.

    This is for comparisons. The environment variable ``EPSANET_CPU_KERNELS`` has the same effect on
    a whole process; its value is ``off`` or the name of an instruction set.
    """
    global _instruction_set
    if name is not None and name not in instruction_sets():
        options = ', '.join(instruction_sets()) or 'none'
        raise ArgumentError(f'The kernels have no {name!r} here; choose one of {options}')
    before, _instruction_set = _instruction_set, name
    try:
        yield
    finally:
        _instruction_set = before


def supports(x: Tensor, *others: Optional[Tensor]) -> bool:
    """Return True if the kernels are available and can compute with these tensors."""
    return _instruction_set is not None and is_float32_on_cpu(x, *others)


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Return uninitialised memory in large pages, if available, which are much faster to fill."""
    memory = like.new_empty(shape)
    if _library:
        _library.epsanet_fresh(memory.data_ptr(), memory.nbytes)
    return memory


def address(tensor: Optional[Tensor], *shape: int, free: int = 0) -> int:
    """Return the address of a tensor after checking all memory that a kernel will access.

    No other address reaches native code.

    Args:
        tensor: Tensor, or None for address 0.
        shape: Shape that the kernel assumes.
        free: Number of leading dimensions whose strides are passed to the kernel. The other
            dimensions must be contiguous.

    Raises:
        RuntimeError: If it is not a float32 tensor of this shape in the memory of a CPU.
    """
    if tensor is None:
        return 0
    if (
        type(tensor) not in PLAIN_TENSORS
        or tensor.dtype != torch.float32
        or not tensor.is_cpu
        or tensor.layout != torch.strided
        or tensor.shape != shape
        or not torch._C._has_storage(tensor)
        or tensor.is_neg()
        or tensor._is_zerotensor()
        or not _lies_within_its_memory(tensor, free)
    ):
        strides = tensor.stride() if tensor.layout == torch.strided else ()
        raise RuntimeError(
            f'a kernel needs float32 of shape {shape} in memory of a CPU, but got {tensor.dtype} '
            f'of shape {tuple(tensor.shape)} with strides {strides} on {tensor.device}'
        )
    return tensor.data_ptr()


def _lies_within_its_memory(tensor: Tensor, free: int) -> bool:
    count = tensor.numel()
    if free and count:
        shape, strides = tensor.shape, tensor.stride()
        contiguous = 1
        for size, stride in zip(reversed(shape[free:]), reversed(strides[free:])):
            if size > 1 and stride != contiguous:
                return False
            contiguous *= size
        count = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))
    elif not tensor.is_contiguous():
        return False
    return 4 * (tensor.storage_offset() + count) <= tensor.untyped_storage().nbytes()


def bits(value: float) -> int:
    """Return the bits of a double as an integer for :func:`call`."""
    return struct.unpack('q', struct.pack('d', value))[0]


def call(function: str, numbers: Sequence[int], *more: int) -> None:
    """Call a kernel.

    Args:
        function: Name of the kernel in the library, without the prefix.
        numbers: Fields of its struct in csrc/problem.h; pointers come from :func:`address`.
        more: Further arguments.

    Raises:
        MemoryError: If there is no memory for the kernel's scratch space.
    """
    task = (ctypes.c_int64 * len(numbers))(*numbers)
    if getattr(_library, f'epsanet_{function}')(_instruction_set.encode(), task, *more):
        raise MemoryError(f'The kernel {function} found no memory for its copy of the input')


def load_kernels(path: Path) -> Optional[ctypes.CDLL]:
    """Load the kernels; return None if they are missing or of another system or version."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    if not _is_of_this_version(library):
        warnings.warn(
            f'{path} is of another version and not used; install epsanet_mmdet again to rebuild it',
            stacklevel=2,
        )
        return None
    library.epsanet_instruction_set.restype = ctypes.c_char_p
    library.epsanet_instruction_set.argtypes = [ctypes.c_int64]
    library.epsanet_fresh.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    library.epsanet_fresh.restype = None
    task = [ctypes.c_char_p, ctypes.c_void_p]
    for function in (library.epsanet_correlate, library.epsanet_weight_gradient):
        function.argtypes = [*task, ctypes.c_int64]
    for name in FUNCTIONS:
        getattr(library, f'epsanet_{name}').argtypes = task
    return library


def _is_of_this_version(library: ctypes.CDLL) -> bool:
    """Return True if the structs of the library have the fields that this module writes."""
    try:
        count = library.epsanet_numbers
    except AttributeError:
        return False
    count.argtypes, count.restype = [ctypes.c_int64], ctypes.c_int64
    return tuple(map(count, range(len(NUMBERS)))) == NUMBERS


def default_instruction_set() -> Optional[str]:
    """Return the instruction set that the environment variable selects, by default the fastest."""
    names = instruction_sets()
    wanted = os.environ.get(VARIABLE, 'on')
    if wanted not in ('on', 'off', *names):
        options = ', '.join(('on', 'off', *names))
        raise ArgumentError(f'{VARIABLE}={wanted!r} is not supported here; choose one of {options}')
    if wanted == 'off' or not names:
        return None
    return names[0] if wanted == 'on' else wanted


_library = load_kernels(Path(__file__).with_name('_cpu_kernels.so'))
_instruction_set = default_instruction_set()
