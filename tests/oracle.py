"""A watch over readers of files: no file may run code, write, take memory or raise odd errors."""

import os
import resource
import sys
from _ctypes import _cast_addr
from pathlib import Path
from typing import Callable, Set

import torch  # noqa: F401 - before the packages are listed below

import epsanet_mmdet
from epsanet_mmdet.errors import UserError

# What Python reports before it happens. Reading files is what the readers are for.
FORBIDDEN = (
    'compile',
    'ctypes.',
    'exec',
    'ftplib.',
    'import',
    'marshal.loads',
    'os.chmod',
    'os.exec',
    'os.fork',
    'os.link',
    'os.mkdir',
    'os.posix_spawn',
    'os.putenv',
    'os.remove',
    'os.rename',
    'os.rmdir',
    'os.spawn',
    'os.symlink',
    'os.system',
    'os.truncate',
    'pty.spawn',
    'pickle.find_class',
    'shutil.',
    'socket.',
    'subprocess.',
    'sys.setprofile',
    'urllib.',
    'webbrowser.',
)
TEMPLATES = str(Path(epsanet_mmdet.__file__).parent / '*' / 'templates' / '*')
PACKAGES = {name.partition('.')[0] for name in sys.modules}  # whatever has been imported before
_done: Set[str] = set()
_is_watching = False


def _watch(event: str, arguments: tuple) -> None:
    if not _is_watching:
        return
    writes = event == 'open' and (
        bool(set(arguments[1] or '') & set('wax+'))
        or bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    )
    if (writes or event.startswith(FORBIDDEN)) and not _is_own(event, arguments):
        _done.add(f'{event}{arguments!r:.200}')


def _is_own(event: str, arguments: tuple) -> bool:
    """Return True for the late import of an installed package and for a template of this one.

    Also for ``ctypes.cast``, with which safetensors writes: Python 3.14 reports every call of a C
    function, and this one only changes the type of a pointer.
    """
    if event == 'os.fork':
        return sys._getframe(2).f_code.co_name == 'read_forked'
    if event == 'ctypes.call_function' and arguments[0] == _cast_addr:
        return True
    if event == 'import':
        return arguments[0].partition('.')[0] in PACKAGES
    file = arguments[1] if event == 'compile' else ''
    if event == 'exec':
        file = arguments[0].co_filename
    if isinstance(file, str) and Path(file).match(TEMPLATES):
        return True
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != '_find_and_load':
        frame = frame.f_back
    return frame is not None


sys.addaudithook(_watch)


class Broken(AssertionError):
    """Raised when a file did what no file may do."""


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check(read: Callable[[], object], memory: int) -> bool:
    """Read a file under the watch, which does not limit time.

    Args:
        read: Function that reads it.
        memory: Limit of this process's peak memory in bytes.

    Returns:
        Whether the file was accepted.

    Raises:
        Broken: If code ran, something was written, or memory exceeded the limit.
        Exception: Any error of the reader that is not a ``UserError``.
    """
    global _is_watching
    _done.clear()
    _is_watching = True
    accepted = False
    try:
        read()
        accepted = True
    except UserError as error:
        if '\n' in str(error) or len(str(error)) > 5000:
            raise Broken(f'an error of many lines: {str(error)[:500]}')
    finally:
        _is_watching = False
    if _done:
        raise Broken(f'it ran code: {sorted(_done)}')
    if peak_memory() > memory:
        raise Broken(f'it took the process to {peak_memory() >> 20} MiB')
    return accepted
