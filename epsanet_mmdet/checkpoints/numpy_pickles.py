"""Plain NumPy numbers and arrays out of a pickle, without NumPy's own reconstruction.

``numpy.dtype.__setstate__`` believes the flags it is given, so a crafted pickle makes it take
bytes for object pointers. These stand-ins accept numeric dtypes alone.
"""

import pickle
from typing import Any, List, Tuple

import numpy as np

NUMERIC_KINDS = 'biufc'
LONGEST_CODE = 16  # characters, such as of 'float64'


class NumericDtype:
    """Stand-in for ``numpy.dtype``: numeric, with nothing but a byte order as state."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        is_code = isinstance(code, str) and len(code) <= LONGEST_CODE
        self.dtype = np.dtype(code) if is_code else np.dtype('O')
        if self.dtype.kind not in NUMERIC_KINDS:
            shown = repr(code) if is_code else type(code).__name__  # a repr may have no end
            raise pickle.UnpicklingError(f'GLOBAL numpy.dtype({shown}) was not allowed')

    def __setstate__(self, state: Tuple) -> None:
        if state[1] in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(state[1])


class NumericArray(np.ndarray):
    """Stand-in for an array under reconstruction; saved again, it is a plain array.

    It takes no arguments, since ``numpy.ndarray`` views given bytes as object pointers.
    """

    def __new__(cls, *args: Any) -> 'NumericArray':
        if args:
            raise pickle.UnpicklingError('GLOBAL numpy.ndarray was not allowed')
        return super().__new__(cls, 0)

    def __setstate__(self, state: Tuple) -> None:
        version, shape, dtype, fortran, data = state
        super().__setstate__((version, shape, _numeric(dtype), fortran, data))

    def __reduce__(self) -> Tuple:
        return np.asarray(self).__reduce__()

    def __reduce_ex__(self, protocol: int) -> Tuple:
        return np.asarray(self).__reduce_ex__(protocol)


def empty_array(*_: Any) -> NumericArray:
    """Stand-in for ``numpy.core.multiarray._reconstruct``."""
    return NumericArray()


def scalar(dtype: NumericDtype, data: bytes) -> np.generic:
    """Stand-in for ``numpy.core.multiarray.scalar``."""
    return np.frombuffer(data, _numeric(dtype), count=1)[0]


def empty_bytes() -> bytes:
    """Stand-in for ``bytes``, which the pickle of an empty array calls."""
    return b''


def _numeric(dtype: NumericDtype) -> np.dtype:
    if type(dtype) is not NumericDtype:
        raise pickle.UnpicklingError(
            f'GLOBAL numpy.dtype as {type(dtype).__name__} was not allowed'
        )
    return dtype.dtype


def numpy_stand_ins() -> List[Any]:
    """The stand-ins, as ``torch.serialization.safe_globals`` takes them."""
    stand_ins = [
        (NumericDtype, 'numpy.dtype'),
        (NumericArray, 'numpy.ndarray'),
        (empty_bytes, 'builtins.bytes'),
    ]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # before and since NumPy 2
        stand_ins += [(empty_array, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    return stand_ins
