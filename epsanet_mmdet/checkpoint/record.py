"""Size and SHA-256 of every checkpoint, recorded when it is written and verified before resuming.

Each folder of checkpoints has one record, :data:`RECORD`: a line of JSON and the SHA-256 of that
line, so that damage to the record is not mistaken for damage to a checkpoint.
"""

import hashlib
import json
import logging
import os
import zipfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

from ..utils.storage import write_whole
from . import restricted_load

RECORD = 'checkpoints.json'

Fingerprint = Tuple[int, str]  # size in bytes, SHA-256


def write_recorded(data: bytes, path: Union[str, Path]) -> None:
    """Write a file atomically, and record its size and SHA-256.

    The record lists the old file and the new one until the new one is in place, so that the file
    verifies wherever the process is killed.

    Raises:
        StorageError: If the disk is full, read-only or the like; an existing file is unchanged.
    """
    path = Path(path)
    known = read_record(path.parent) or {}
    new = (len(data), hashlib.sha256(data).hexdigest())
    _write_record(path.parent, {**known, path.name: [*known.get(path.name, []), new]})
    write_whole(data, path)
    _write_record(path.parent, {**known, path.name: [new]})


def read_record(folder: Union[str, Path]) -> Optional[Dict[str, List[Fingerprint]]]:
    """Return the record of a folder by file name, or None if it is damaged."""
    try:
        content = Path(folder, RECORD).read_bytes()
    except FileNotFoundError:
        return {}
    except OSError:
        return None
    line, _, digest = content.rpartition(b'\n')
    if hashlib.sha256(line).hexdigest().encode() != digest:
        return None
    return {name: [tuple(entry) for entry in all_] for name, all_ in json.loads(line).items()}


def _write_record(folder: Path, record: Dict[str, List[Fingerprint]]) -> None:
    line = json.dumps(record).encode()
    write_whole(line + b'\n' + hashlib.sha256(line).hexdigest().encode(), folder / RECORD)


def find_fault(path: Union[str, Path], own: bool = True) -> Optional[str]:
    """Return what is wrong with a checkpoint file, or None.

    A recorded file must have the recorded size and SHA-256. An unrecorded one, from an earlier
    version, must match the checksums in its zip archive and load.

    Args:
        path: The file.
        own: Whether a run on this machine wrote it; unrecorded files of others are not loaded.
    """
    path = Path(path)
    if not path.is_file():
        return 'is not a file' if path.exists() else 'does not exist'
    recorded = (read_record(path.parent) or {}).get(path.name)
    try:
        if recorded is None:
            return _unrecorded_fault(path) if own else None
        size = path.stat().st_size
        if size not in [entry[0] for entry in recorded]:
            return f'has {size:,} bytes, and had {recorded[-1][0]:,} when it was written'
        with path.open('rb') as file:
            digest = hashlib.file_digest(file, 'sha256').hexdigest()
        if (size, digest) not in recorded:
            return 'has changed since it was written: its SHA-256 differs from the recorded one'
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    return None


def _unrecorded_fault(path: Path) -> Optional[str]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                return f'is damaged: the checksum of {damaged!r} inside is wrong'
        restricted_load(str(path), map_location='cpu')
    except OSError:
        raise
    except Exception as error:  # damaged bytes raise all kinds of errors
        return f'cannot be loaded: {next(iter(str(error).splitlines()), type(error).__name__)}'
    return None


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """mmengine's local files, written with :func:`write_recorded`.

    Select it with ``backend_args=dict(backend='atomic')``.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        write_recorded(obj, filepath)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = 'utf-8') -> None:
        write_whole(obj.encode(encoding), filepath)

    def remove(self, filepath: Union[str, Path]) -> None:
        super().remove(filepath)
        folder, name = os.path.split(filepath)
        record = read_record(folder)
        if record and record.pop(name, None):
            _write_record(Path(folder), record)


def find_latest(candidates: List[Path], named: str) -> Optional[Path]:
    """Return the checkpoint to resume from, and log a warning for each one that is skipped.

    Args:
        candidates: Files, the newest first.
        named: Name of the file to prefer, from ``last_checkpoint``.
    """
    for folder in {path.parent for path in candidates}:
        if read_record(folder) is None:
            _warn(
                f"'{folder / RECORD}' is damaged: its checkpoints are verified by loading them, "
                'which does not find all damage'
            )
    newest = next(iter(candidates), None)
    for path in sorted(candidates, key=lambda path: path.name != named):
        fault = find_fault(path)
        if fault is None:
            if path.name != named:
                _warn(f"last_checkpoint names {named[:100]!r}; resuming from '{path}'")
            elif path != newest:
                _warn(f"resuming from '{path}', named in last_checkpoint; {newest.name} is newer")
            return path
        _warn(f"'{path}' {fault}; skipping it")
    return None


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
