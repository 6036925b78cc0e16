"""The package's own kernels for CPUs: loading and calling them, and choosing an instruction set.

They are plain C++ without torch (``csrc``), built when the package is installed and a compiler is
there. Where they are missing, :func:`instruction_set` is None and nothing may be called.
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
# What the structs of problem.h are described by, in the order of epsanet_numbers.
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
    """Return those that the kernels were built for and this processor has, the fastest first."""
    names = []
    while _library and (name := _library.epsanet_instruction_set(len(names))):
        names.append(name.decode())
    return names


def instruction_set() -> Optional[str]:
    """Return the one in use; None if the kernels are missing or switched off."""
    return _instruction_set


@contextmanager
def use_instruction_set(name: Optional[str]) -> Iterator[None]:
    """Use another of :func:`instruction_sets`, or None for torch's own operations.

    For comparisons. The environment variable ``EPSANET_CPU_KERNELS`` does the same for a whole
    process: ``off``, or the name of an instruction set.
    """
    global _instruction_set
    if name is not None and name not in instruction_sets():
        options = ', '.join(instruction_sets()) or 'none'
        raise ArgumentError(f'The kernels have no {name!r} here, but: {options}')
    before, _instruction_set = _instruction_set, name
    try:
        yield
    finally:
        _instruction_set = before


def takes(x: Tensor, *others: Optional[Tensor]) -> bool:
    """Return whether the kernels are there, and compute with these tensors."""
    return _instruction_set is not None and is_float32_on_cpu(x, *others)


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Return memory to write to, in large pages where the system has them: much faster to fill."""
    memory = like.new_empty(shape)
    if _library:
        _library.epsanet_fresh(memory.data_ptr(), memory.nbytes)
    return memory


def address(tensor: Optional[Tensor], *shape: int, free: int = 0) -> int:
    """Return where a tensor begins, for :func:`call`, once it holds all that a kernel will touch.

    No other address reaches native code.

    Args:
        tensor: Its address; 0 for None.
        shape: What the kernel takes its shape to be.
        free: Number of leading dimensions whose strides the kernel is given. The other
            dimensions have to be contiguous.

    Raises:
        RuntimeError: If it is something else than float32 numbers of this shape in a CPU's memory.
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
        raise RuntimeError(
            f'a kernel needs float32 of shape {shape} in memory of a CPU, but got {tensor.dtype} '
            f'of shape {tuple(tensor.shape)} with strides {_strides(tensor)} on {tensor.device}'
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


def _strides(tensor: Tensor) -> tuple:
    return tuple(tensor.stride()) if tensor.layout == torch.strided else ()


def bits(value: float) -> int:
    """Return a number as :func:`call` takes it."""
    return struct.unpack('q', struct.pack('d', value))[0]


def call(function: str, numbers: Sequence[int], *more: int) -> None:
    """Call a kernel.

    Args:
        function: Its name in the library, without the prefix.
        numbers: Fields of its struct in csrc/problem.h; pointers by :func:`address`.
        more: Further arguments.

    Raises:
        MemoryError: If there is none for its scratch.
    """
    task = (ctypes.c_int64 * len(numbers))(*numbers)
    if getattr(_library, f'epsanet_{function}')(_instruction_set.encode(), task, *more):
        raise MemoryError(f'The kernel {function} found no memory for its copy of the input')


def load_kernels(path: Path) -> Optional[ctypes.CDLL]:
    """Load the kernels; return None if they are missing or do not fit this system or code."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    if not _is_of_this_version(library):
        warnings.warn(
            f'{path} is of another version and not used; install epsanet_mmdet again to build it',
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
    """Return whether the library reads what this module writes: else it would read beyond it."""
    try:
        count = library.epsanet_numbers
    except AttributeError:
        return False
    count.argtypes, count.restype = [ctypes.c_int64], ctypes.c_int64
    return tuple(map(count, range(len(NUMBERS)))) == NUMBERS


def default_instruction_set() -> Optional[str]:
    """Return the one to use: what the environment variable says, else the fastest."""
    names = instruction_sets()
    wanted = os.environ.get(VARIABLE, 'on')
    if wanted not in ('on', 'off', *names):
        options = ', '.join(('on', 'off', *names))
        raise ArgumentError(f'{VARIABLE}={wanted!r} is not possible here; choose one of {options}')
    if wanted == 'off' or not names:
        return None
    return names[0] if wanted == 'on' else wanted


_library = load_kernels(Path(__file__).with_name('_cpu_kernels.so'))
_instruction_set = default_instruction_set()
