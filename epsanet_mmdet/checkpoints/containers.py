"""The files that hold checkpoints: torch's zip archives, and the pickles of before."""

import io
import os
import zipfile
from typing import BinaryIO, Dict

import torch

from .pickle_bounds import ExcessError, check_pickle

EXPANSION = 2  # times what torch stores uncompressed; a small file has much of its own
LEGACY_PICKLES = 5  # magic number, protocol, machine, content, and the storages' keys


def check_file(file: BinaryIO) -> int:
    """Check what the pickles of a checkpoint ask for, before they are read.

    Args:
        file: The checkpoint; it is left where it was.

    Returns:
        Its size in bytes.

    Raises:
        ExcessError: If it asks for more memory, time or stack than its bytes can stand for.
        Exception: Whatever damaged bytes lead to.
    """
    start = file.tell()
    try:
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        is_zip = file.read(4) == b'PK\x03\x04'  # as torch tells them apart
        file.seek(start)
        if is_zip:
            _check_zip(file, size)
        else:
            for _ in range(LEGACY_PICKLES):
                check_pickle(file, None, size)
    finally:
        file.seek(start)
    return size


def _check_zip(file: BinaryIO, size: int) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > EXPANSION * size:
        raise ExcessError('its archive unpacks to more than it can hold')
    storages: Dict[str, int] = {}
    for entry in entries:
        name = entry.filename.partition('/')[2]
        if name.startswith('data/'):
            storages[name[len('data/') :]] = entry.file_size
    file.seek(0)
    content = torch._C.PyTorchFileReader(file).get_record('data.pkl')
    check_pickle(io.BytesIO(content), storages, size)
