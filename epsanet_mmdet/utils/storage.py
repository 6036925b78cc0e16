"""Files that are written whole or not at all, and the errors of full or read-only disks.

mmengine writes checkpoints and ``last_checkpoint`` in place: a run that is killed meanwhile
leaves half a file under the name that ``--resume`` reads. Here a file is written beside its
place, brought to the disk, and renamed.
"""

import errno
import os
import os.path as osp
import re
from pathlib import Path
from typing import Optional, Union

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
WRITING_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # no reading ends in these


def storage_error(error: OSError, folder: Union[str, Path, None] = None) -> Optional[StorageError]:
    """Return an error of the disk as one line with its remedy, or None for other errors.

    Args:
        error: The operating system's.
        folder: The folder to name; by default that of the file that ``error`` names.
    """
    remedy = REMEDIES.get(error.errno)
    if remedy is None:
        return None
    if folder is None:
        folder = osp.dirname(osp.abspath(error.filename)) if error.filename else 'a folder'
    return StorageError(f"cannot write to '{folder}': {remedy} ({os.strerror(error.errno)})")


def write_whole(data: bytes, path: Union[str, Path]) -> None:
    """Write a file whole or not at all; a file that was there stays until the new one is.

    Raises:
        StorageError: If the disk is full, read-only or the like; the old file is untouched.
    """
    path = Path(path)
    partial = path.with_name(f'.{path.name}.{os.getpid()}{PARTIAL}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, 'wb') as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path.parent) or error


def check_file_writable(path: Union[str, Path]) -> None:
    """Check that a file could be written, before the work that leads to it; it is left as it is.

    Raises:
        StorageError: If its folder cannot be written to.
    """
    trial = Path(path).with_name(f'.{Path(path).name}.trial')
    write_whole(b'', trial)
    trial.unlink()


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where the file system can."""
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
    """Remove what killed processes left of :func:`write_whole` in a folder."""
    for path in Path(folder).glob(f'.*{PARTIAL}'):
        found = re.fullmatch(rf'\..+\.(\d+){re.escape(PARTIAL)}', path.name)
        if found and not _is_running(int(found.group(1))):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False  # it is not writing now, and after a restart in a container ids come again
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
