"""The package's own kernels for CPUs: loading them, and choosing an instruction set.

They are plain C++ without torch (``epsanet_mmdet/csrc``), built when the package is installed and
a compiler is there. Where they are missing, :func:`instruction_set` is None and nothing may be
called.
"""

import ctypes
import os
import struct
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional

import torch
from torch import Tensor

from ..errors import ArgumentError

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
    """Names of those that the kernel was built for and this processor has, the fastest first."""
    names = []
    while _library and (name := _library.epsanet_instruction_set(len(names))):
        names.append(name.decode())
    return names


def instruction_set() -> Optional[str]:
    """Name of the one in use; None if the kernel is missing or switched off."""
    return _instruction_set


@contextmanager
def use_instruction_set(name: Optional[str]) -> Iterator[None]:
    """Use another of :func:`instruction_sets`, or None for the library's operations.

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


def takes(x: Tensor, *others: Tensor) -> bool:
    """Whether the kernels are there, and compute with these tensors."""
    return _instruction_set is not None and would_take(x, *others)


def would_take(x: Tensor, *others: Tensor) -> bool:
    """Whether the kernels, if they are there, compute with these tensors."""
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        return False  # torch.func's tensors have no memory
    return (
        all(t.dtype == torch.float32 and t.device.type == 'cpu' for t in (x, *others))
        and (x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last))
        and not torch.is_autocast_enabled('cpu')
    )


def for_another_program() -> bool:
    """Whether operations are recorded for one that does not know our operators."""
    if torch.jit.is_tracing():
        return True
    return torch.compiler.is_compiling() and torch.onnx.is_in_onnx_export()


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Give memory to write to, in large pages where the system has them: much faster to fill."""
    memory = like.new_empty(shape)
    if _library:
        _library.epsanet_fresh(memory.data_ptr(), memory.nbytes)
    return memory


def pointers(*tensors: Optional[Tensor]) -> List[int]:
    """Say where they begin, as :func:`call` takes it; 0 for None."""
    return [0 if t is None else t.data_ptr() for t in tensors]


def bits(value: float) -> int:
    """Write a number as :func:`call` takes it."""
    return struct.unpack('q', struct.pack('d', value))[0]


def call(function: str, numbers: List[int], *more: int) -> None:
    """Call a kernel.

    Args:
        function: Its name in the library, without the prefix.
        numbers: What describes its task, pointers included.
        more: Further arguments.

    Raises:
        MemoryError: If there is none for its scratch.
    """
    task = (ctypes.c_int64 * len(numbers))(*numbers)
    if getattr(_library, f'epsanet_{function}')(_instruction_set.encode(), task, *more):
        raise MemoryError(f'The kernel {function} found no memory for its copy of the input')


def load_kernels(path: Path) -> Optional[ctypes.CDLL]:
    """Load the kernels; None if they are missing or fit neither this system nor this code."""
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
    """Whether the library reads what this module writes: else it would read beyond it."""
    try:
        count = library.epsanet_numbers
    except AttributeError:
        return False
    count.argtypes, count.restype = [ctypes.c_int64], ctypes.c_int64
    return tuple(map(count, range(len(NUMBERS)))) == NUMBERS


def default_instruction_set() -> Optional[str]:
    """Name of the one to use: what the environment variable says, else the fastest."""
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
