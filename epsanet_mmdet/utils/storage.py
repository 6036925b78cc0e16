"""Atomic writing, and the errors of full or read-only disks.

mmengine writes checkpoints and ``last_checkpoint`` in place, so a run that is killed while it
saves leaves half a file under the name that ``--resume`` reads. Here a file is written beside its
destination, flushed to the disk and renamed: readers see the old content or the new one.
"""

import errno
import io
import json
import os
import os.path as osp
import re
from pathlib import Path
from typing import Any, Callable, Optional, Union

import torch

from ..errors import StorageError

PARTIAL = '.partial'
REMEDIES = {
    errno.ENOSPC: 'the disk is full; free space there, or choose another --work-dir',
    errno.EDQUOT: 'the disk quota is used up; free space there, or choose another --work-dir',
    errno.EFBIG: 'the file size limit is reached; raise it (ulimit -f), or use another --work-dir',
    errno.EROFS: 'the file system is read-only; choose another --work-dir',
    errno.EACCES: 'there is no permission to write; allow it, or choose another --work-dir',
    errno.EPERM: 'there is no permission to write; allow it, or choose another --work-dir',
    errno.ENOTDIR: 'a file is in the place of a folder; choose another --work-dir',
    errno.EEXIST: 'a file is in the place of a folder; choose another --work-dir',
}
WRITING_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # reading never raises these


def storage_error(error: OSError, folder: Union[str, Path, None] = None) -> Optional[StorageError]:
    """Return a disk error as one line with its remedy, or None for any other error.

    Args:
        error: The error of the operating system.
        folder: Folder to name. Default: that of the file in ``error``.
    """
    remedy = REMEDIES.get(error.errno)
    if remedy is None:
        return None
    if folder is None:
        folder = osp.dirname(osp.abspath(error.filename)) if error.filename else 'a folder'
    return StorageError(f"cannot write to '{folder}': {remedy} ({os.strerror(error.errno)})")


def write_whole(content: Union[bytes, str], path: Union[str, Path]) -> None:
    """Write a file atomically, and its folder if there is none.

    Args:
        content: Bytes, or text to be encoded as UTF-8.
        path: File to write or replace.

    Raises:
        StorageError: If the disk is full, read-only or the like; an existing file is unchanged.
    """
    if isinstance(content, str):
        content = content.encode(errors='backslashreplace')  # file names may hold lone surrogates
    path = Path(path)
    partial = path.with_name(f'.{path.name}.{os.getpid()}{PARTIAL}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, 'wb') as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path.parent) or error


def write_json(content: Any, path: Union[str, Path]) -> None:
    """Write JSON with :func:`write_whole`."""
    write_whole(json.dumps(content, indent=1, ensure_ascii=False) + '\n', path)


def save_whole(content: Any, path: Union[str, Path], save: Callable = torch.save) -> None:
    """Save an object with :func:`write_whole`.

    Args:
        content: The object.
        path: File to write or replace.
        save: Function of the object and a binary file.
    """
    buffer = io.BytesIO()  # torch's own errors on a full disk do not name the reason
    save(content, buffer)
    write_whole(buffer.getvalue(), path)


def check_file_writable(path: Union[str, Path]) -> None:
    """Check that a file can be written, before the work that leads to it; it is not changed.

    Raises:
        StorageError: If its folder cannot be made or written to.
    """
    trial = Path(path).with_name(f'.{Path(path).name}.trial')
    write_whole(b'1', trial)
    trial.unlink(missing_ok=True)  # another process of the run may have removed it


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk, where the file system supports it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def remove_partial_files(folder: Union[str, Path]) -> None:
    """Remove the partial files that killed processes left in a folder."""
    for path in Path(folder).glob(f'.*{PARTIAL}'):
        found = re.fullmatch(rf'\..+\.(\d+){re.escape(PARTIAL)}', path.name)
        if found and not _is_running(int(found.group(1))):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False  # not writing now; in a restarted container, process ids repeat
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
