"""Files that are written whole or not at all, and what a full or read-only disk says.

mmengine writes checkpoints and ``last_checkpoint`` in place: a run that is killed meanwhile
leaves half a file under the name that ``--resume`` reads. Here a file is written beside its
place, brought to the disk, and renamed.
"""

import errno
import os
import os.path as osp
import re
import zipfile
from pathlib import Path
from typing import Optional, Union

from mmengine.fileio import LocalBackend, register_backend

from .errors import CheckpointError, StorageError

PARTIAL = '.partial'
REMEDIES = {
    errno.ENOSPC: 'the disk is full; free space there, or give another --work-dir',
    errno.EDQUOT: 'the disk quota is used up; free space there, or give another --work-dir',
    errno.EFBIG: 'the file size limit is reached; raise it (ulimit -f), or give another --work-dir',
    errno.EROFS: 'the file system is read-only; give another --work-dir',
    errno.EACCES: 'there is no permission to write; mend it, or give another --work-dir',
    errno.EPERM: 'there is no permission to write; mend it, or give another --work-dir',
    errno.ENOTDIR: 'a file is in the place of a folder; give another --work-dir',
    errno.EEXIST: 'a file is in the place of a folder; give another --work-dir',
}
WRITING_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # no reading ends in these


def storage_error(error: OSError, folder: Union[str, Path, None] = None) -> Optional[StorageError]:
    """Turn an error of the disk into one line with its remedy.

    Args:
        error: What the operating system said.
        folder: Where; by default that of the file that ``error`` names.

    Returns:
        None if it is another kind of error.
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


def is_whole(path: Union[str, Path]) -> bool:
    """Say whether a checkpoint of ``torch.save`` is on the disk in full.

    The check sums of the zip file are compared; a file in torch's format before 1.6 is loaded.
    """
    if not osp.isfile(path):
        return False
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        return _is_whole_legacy(path)
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError):
        return False


def _is_whole_legacy(path: Union[str, Path]) -> bool:
    from .checkpoints import restricted_load  # which needs torch's loader only here

    with open(path, 'rb') as file:
        if file.read(1) != b'\x80':  # a pickle's first byte; zip files begin with PK
            return False
    try:
        restricted_load(str(path), map_location='cpu')
    except CheckpointError:
        return False
    return True


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """mmengine's local files, written whole or not at all: ``backend_args=dict(backend='atomic')``.

    See :func:`write_whole`.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        write_whole(obj, filepath)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = 'utf-8') -> None:
        write_whole(obj.encode(encoding), filepath)
