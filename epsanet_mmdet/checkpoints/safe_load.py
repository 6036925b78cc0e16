"""Loading checkpoints without running code from them.

A checkpoint is a pickle, and a pickle can call any function. torch >= 2.6 refuses that by
default, but then mmengine <= 0.10.7 cannot read its own checkpoints, which hold logging
buffers and NumPy scalars, and OneDL's mmengine 0.10.12 falls back to an unrestricted load.
Here every loader of mmengine reads with torch's restricted unpickler and an explicit list of
harmless types, and without the config that a checkpoint stores as Python text. This can go when
mmengine itself does all three.
"""

import functools
import os.path as osp
import pickle
import re
import threading
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Iterator, List
from unittest import mock

import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from ..errors import CheckpointError
from .containers import check_file
from .numpy_pickles import numpy_stand_ins
from .pickle_bounds import ExcessError, check_size

torch_load = torch.load
_lock = threading.RLock()  # torch's list of allowed types, and torch.load, are the process's


def restricted_load(file: Any, map_location: Any = None, **_) -> Any:
    """``torch.load`` that rebuilds harmless types alone, whatever else the process allows.

    The config that mmengine stores as text is left out: it would be run as Python, so name the
    config wherever a checkpoint is used.

    Args:
        file: Path or file object.
        map_location: As in ``torch.load``.

    Raises:
        CheckpointError: If the file is damaged, tries to call something else, or asks for more
            time or memory than its size can stand for; the message says what.
        FileNotFoundError: If there is no such file.
    """
    source = getattr(file, 'name', 'the checkpoint') if hasattr(file, 'read') else file
    with _opened(file) as stream:
        try:
            size = check_file(stream)
            with _only_harmless_types():
                checkpoint = torch_load(stream, map_location=map_location, weights_only=True)
            check_size(checkpoint, size)
        except ExcessError as error:
            raise CheckpointError(f'{source} is refused: {error}; do not use this file') from None
        except pickle.UnpicklingError as error:
            raise CheckpointError(f'{source} {_refusal(str(error))}') from None
        except Exception as error:  # whatever damaged bytes lead to inside torch
            reason = str(error) or type(error).__name__
            raise CheckpointError(f'{source} {_damage(reason)}') from error
    _drop_config_text(checkpoint)
    return checkpoint


@contextmanager
def _opened(file: Any) -> Iterator[BinaryIO]:
    if hasattr(file, 'read'):
        yield file
        return
    if osp.exists(file) and not osp.isfile(file):  # a pipe would be waited for
        raise CheckpointError(f'{file} is no file; give the .pth file itself')
    try:
        stream = open(file, 'rb')
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(f'{file} cannot be read ({error.strerror}); check its permissions')
    with stream:
        yield stream


def harmless_types() -> List[Any]:
    """What a checkpoint may hold beyond torch's own list of tensors and containers."""
    return [HistoryBuffer, (history_buffer_method, 'builtins.getattr'), *numpy_stand_ins()]


def history_buffer_method(owner: Any, name: str) -> Callable:
    """Stand-in for ``getattr``, by which a pickled ``HistoryBuffer`` names its statistics."""
    if owner is HistoryBuffer and name in ('mean', 'max', 'min', 'current'):
        return getattr(HistoryBuffer, name)
    owner = getattr(owner, '__name__', type(owner).__name__)  # a crafted repr may have no end
    name = name if isinstance(name, str) else type(name).__name__
    raise pickle.UnpicklingError(f'GLOBAL {owner}.{name} was not allowed')


def _drop_config_text(checkpoint: Any) -> None:
    """Drop the configs stored as Python, which mmengine runs on resuming and inferring."""
    if not isinstance(checkpoint, dict):
        return
    hub = checkpoint.get('message_hub')
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    for holder in (checkpoint.get('meta'), info):
        if isinstance(holder, dict):
            for name in ('cfg', 'config'):
                holder.pop(name, None)


@contextmanager
def _only_harmless_types() -> Iterator[None]:
    with _lock:
        allowed_before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(harmless_types())
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(allowed_before)


def _refusal(message: str) -> str:
    called = re.search(
        r'GLOBAL (.+?) (?:was|whose)|function <(?:built-in function )?([^>]+)', message
    )
    if called is None:
        return _damage(message.split('WeightsUnpickler error:')[-1])
    name = called.group(1) or called.group(2)
    return (
        f'is refused: it tries to call {name}, which loading weights never needs; do not use '
        'this file, or save its plain state_dict where you trust it'
    )


def _damage(reason: str) -> str:
    line = next(iter(reason.strip().splitlines()), '')
    return f'is damaged or no PyTorch checkpoint ({line}); get it again, or use an earlier one'


def _restrict(loader: Callable) -> Callable:
    @functools.wraps(loader)
    def load(*args, **kwargs):
        with _lock, mock.patch.object(torch, 'load', restricted_load):
            return loader(*args, **kwargs)

    load.is_restricted = True
    return load


def restrict_loaders() -> None:
    """Have every loader that mmengine has registered read with :func:`restricted_load`."""
    for prefix, loader in CheckpointLoader._schemes.items():
        if not getattr(loader, 'is_restricted', False):
            CheckpointLoader.register_scheme(prefix, _restrict(loader), force=True)
