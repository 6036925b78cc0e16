"""Types that a checkpoint may hold in addition to those that torch allows.

A stand-in takes the name of a type whose own constructor or ``__setstate__`` trusts its input, or
would need another package.
"""

import argparse
import collections
import datetime
import io
import os
import pathlib
import pickle
import re
from typing import Any, Callable, Iterable, List, Optional, Tuple

import numpy as np
import torch

PLAIN_KINDS = 'biufcSU'  # of NumPy's dtypes: numbers and strings
LONGEST_CODE = 16  # characters, such as of 'float64'
HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
ONE_CYCLE = 'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'
FUNCTIONS = {  # which mmengine's own checkpoints refer to
    HISTORY: ('mean', 'max', 'min', 'current'),
    ONE_CYCLE: ('_annealing_cos', '_annealing_linear'),
}
FACTORIES = (list, dict, tuple, int, float, str, bool)  # of defaultdict; torch allows set itself


def refuse(name: str) -> None:
    """Raise the error that torch raises for a name that is not allowed."""
    raise pickle.UnpicklingError(f'GLOBAL {name} was not allowed')


class Name:
    """A name that a pickle may mention but not call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.__new__ = self  # as torch would create an object of a class

    def __call__(self, *_: Any) -> None:
        refuse(self.name)

    def __repr__(self) -> str:
        return f'<{self.name}>'


class PlainDtype:
    """Stand-in for ``numpy.dtype``, for numbers and strings only.

    NumPy's own ``__setstate__`` trusts the flags in a pickle, so a crafted one makes it read bytes
    as object pointers. Here the byte order is the only state.
    """

    def __new__(cls, code: str, *flags: Any) -> Any:
        if _allowed_by_user(np.dtype, 'numpy.dtype'):
            return np.dtype(code, *flags)
        return super().__new__(cls)

    def __init__(self, code: str, *_: Any) -> None:
        is_code = isinstance(code, str) and len(code) <= LONGEST_CODE
        self.dtype = np.dtype(code) if is_code else np.dtype('O')
        if self.dtype.kind not in PLAIN_KINDS:
            shown = repr(code) if is_code else type(code).__name__  # a repr may have no end
            refuse(f'numpy.dtype({shown})')

    def __setstate__(self, state: Tuple) -> None:
        if state[1] in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(state[1])


class PlainArray(np.ndarray):
    """Stand-in for an array that is being rebuilt; it is saved as a plain array.

    It takes no arguments, since ``numpy.ndarray`` would read given bytes as object pointers.
    """

    def __new__(cls, *args: Any) -> 'PlainArray':
        if args:
            refuse('numpy.ndarray')
        return super().__new__(cls, 0)

    def __setstate__(self, state: Tuple) -> None:
        version, shape, dtype, fortran, data = state
        super().__setstate__((version, shape, _plain(dtype), fortran, data))

    def __reduce_ex__(self, protocol: int) -> Tuple:
        return np.asarray(self).__reduce_ex__(protocol)


def empty_array(*_: Any) -> PlainArray:
    """Stand in for ``numpy.core.multiarray._reconstruct``."""
    return PlainArray()


def scalar(dtype: PlainDtype, data: bytes) -> np.generic:
    """Stand in for ``numpy.core.multiarray.scalar``."""
    return np.frombuffer(data, _plain(dtype), count=1)[0]


def empty_bytes() -> bytes:
    """Stand in for ``bytes``, which the pickle of an empty array calls."""
    return b''


def _plain(dtype: Any) -> np.dtype:
    if type(dtype) is PlainDtype:
        return dtype.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in PLAIN_KINDS:
        return dtype
    return refuse(f'numpy.dtype as {type(dtype).__name__}')


def _allowed_by_user(value: Any, name: str) -> bool:
    return any(
        entry is value or (type(entry) is tuple and entry[0] is value and entry[1] == name)
        for entry in torch.serialization.get_safe_globals()
    )


def default_dict(factory: Any = None, *_: Any) -> collections.OrderedDict:
    """Stand in for ``defaultdict``, since torch fills no dict but an ``OrderedDict``."""
    content = collections.OrderedDict()
    content.default_factory = getattr(factory, 'name', factory)
    return content


def factory_of(content: dict) -> Optional[type]:
    """Return the factory of a dict from :func:`default_dict`, or None for any other dict."""
    factory = getattr(content, 'default_factory', None)
    if factory is set or not isinstance(factory, str):
        return set if factory is set else None
    return next((kind for kind in FACTORIES if factory == f'builtins.{kind.__name__}'), None)


def path(*parts: str) -> pathlib.PurePath:
    """Return a path of this operating system."""
    return pathlib.Path(*parts)


def other_path(*parts: str) -> pathlib.PurePath:
    """Return a path of the other operating system; it is pure and cannot touch the disk."""
    return pathlib.PurePosixPath(*parts) if os.name == 'nt' else pathlib.PureWindowsPath(*parts)


def _path_names() -> Iterable[Tuple[Callable, str]]:
    ours, theirs = ('Windows', 'Posix') if os.name == 'nt' else ('Posix', 'Windows')
    for module in ('pathlib', 'pathlib._local'):  # until and since Python 3.13
        for name in ('Path', f'{ours}Path'):
            yield path, f'{module}.{name}'
        for name in (f'{theirs}Path', f'Pure{theirs}Path'):
            yield other_path, f'{module}.{name}'
        for name in ('PurePath', f'Pure{ours}Path'):
            yield pathlib.PurePath, f'{module}.{name}'


def harmless_types(
    history: type, config_dict: Callable, function: Callable[[str, str], Any]
) -> List[Any]:
    """Return the list for ``torch.serialization.add_safe_globals``.

    Args:
        history: Stand-in for mmengine's ``HistoryBuffer``.
        config_dict: Stand-in for mmengine's ``ConfigDict``, called with a dict.
        function: Returns the stand-in for one of :data:`FUNCTIONS`, given its owner and its name.
    """

    def attribute(owner: Any, name: str) -> Callable:
        """Stand in for ``getattr``, which is needed for :data:`FUNCTIONS` only."""
        kind = owner.name if isinstance(owner, Name) else None
        kind = HISTORY if owner is history else kind
        if isinstance(name, str) and name in FUNCTIONS.get(kind, ()):
            return function(kind, name)
        if _allowed_by_user(getattr, 'builtins.getattr'):
            return getattr(owner, name)
        shown = kind or getattr(owner, '__name__', type(owner).__name__)  # a repr may have no end
        return refuse(f'{shown}.{name if isinstance(name, str) else type(name).__name__}')

    def config(*content: dict) -> Any:
        if [type(part) for part in content] not in ([], [dict]):
            refuse('ConfigDict of something else than a dict')
        return config_dict(*content)

    listed = [
        *(getattr(datetime, n) for n in ('datetime', 'date', 'time', 'timedelta', 'timezone')),
        argparse.Namespace,
        frozenset,
        (default_dict, 'collections.defaultdict'),
        (PlainDtype, 'numpy.dtype'),
        (PlainArray, 'numpy.ndarray'),
        (PlainArray, 'epsanet_mmdet.PlainArray'),  # allowed even if the user allows numpy.ndarray
        (empty_bytes, 'builtins.bytes'),
        (history, HISTORY),
        (Name(ONE_CYCLE), ONE_CYCLE),
        (attribute, 'builtins.getattr'),
        (config, 'mmengine.config.config.ConfigDict'),
        *_path_names(),
        *((Name(f'builtins.{kind.__name__}'), f'builtins.{kind.__name__}') for kind in FACTORIES),
    ]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # before and since NumPy 2
        listed += [(empty_array, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    return listed


def never_called() -> None:
    """Do nothing: :func:`is_restricted` checks that no restricted load calls this."""


class _Caller:
    def __reduce__(self) -> Tuple:
        return never_called, ()


def is_restricted(load: Callable) -> bool:
    """Return whether a ``torch.load`` refuses names that are not on the list."""
    file = io.BytesIO()
    torch.save(_Caller(), file)
    file.seek(0)
    try:
        load(file, weights_only=True)
    except pickle.UnpicklingError:
        return True
    except Exception:  # which proves nothing
        pass
    return False


def explain(error: BaseException) -> str:
    """Return why a file cannot be read and the remedy, as a sentence without its subject."""
    message = str(error)
    called = re.search(
        r'GLOBAL (.+?) (?:was|whose)|function <(?:built-in function )?([^>]+)', message
    )
    if isinstance(error, pickle.UnpicklingError) and called:
        return (
            f'is refused: it tries to call {called.group(1) or called.group(2)}, which loading '
            'weights never needs; do not use this file, or save its plain state_dict where you '
            'trust it'
        )
    if isinstance(error, torch.OutOfMemoryError):
        return "does not fit into the GPU's free memory; end other programs that use this GPU"
    if isinstance(error, MemoryError) or re.search("can't allocate|bad_alloc", message):
        return 'is refused: it takes more memory than a file of its size may; do not use this file'
    if 'torchscript' in message.lower():
        return 'is a TorchScript program, not weights; save the state_dict of the model'
    if '.tar format' in message:
        return "is in torch's format before 0.1.10; load and save it with an old torch"
    reason = message.split('WeightsUnpickler error:')[-1].strip().partition('\n')[0]
    detail = f' ({reason:.200})' if ' ' in reason else ''  # not the mere number of a KeyError
    return f'is damaged or not a PyTorch checkpoint{detail}; get it again, or use an earlier one'
