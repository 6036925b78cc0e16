"""Files of an untrusted data set: they may be pipes and devices, and names may point anywhere."""

import os
import os.path as osp
import re
import stat
from typing import BinaryIO, Union

Path = Union[str, 'os.PathLike[str]']


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, or a link to one.

    A pipe would be waited for without end, a device such as ``/dev/zero`` read without end.

    Raises:
        OSError: If there is none, or it is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0))
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        what = 'a folder' if stat.S_ISDIR(kind) else 'a pipe, socket or device'
        raise OSError(0, f'it is {what}', str(path))
    return open(handle, 'rb')


def read_bytes(path: Path) -> bytes:
    """Read a regular file whole; as :func:`open_regular`."""
    with open_regular(path) as file:
        return file.read()


def read_text(path: Path, errors: str = 'strict') -> str:
    """Read a regular file as UTF-8, with or without a byte order mark.

    Raises:
        OSError: As :func:`open_regular`.
        UnicodeError: If it is no UTF-8.
    """
    return read_bytes(path).decode('utf-8-sig', errors).replace('\r\n', '\n')


def leaves_root(file_name: str) -> bool:
    """Return True if a file name points out of the folder that it is relative to."""
    name = file_name.replace('\\', '/')
    return (
        osp.isabs(name)
        or re.match(r'[A-Za-z]:', name) is not None
        or '\0' in name
        or osp.normpath(name).split('/')[0] == '..'
    )


def is_inside(path: Path, folder: Path) -> bool:
    """Return True if a path, as it is written, lies in a folder; links are not followed."""
    path, folder = osp.abspath(path), osp.abspath(folder)
    return osp.commonpath([path, folder]) == folder
