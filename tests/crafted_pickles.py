"""Checkpoints that request memory or time, written operation by operation."""

import io
import pickle
import struct
import zipfile
from pathlib import Path


def text(value: bytes) -> bytes:
    return b'X' + struct.pack('<I', len(value)) + value


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def tensor(size: bytes, stride: bytes, numel: int = 4) -> bytes:
    """Return the operations of a tensor of a storage of ``numel`` floats."""
    return (
        b'ctorch._utils\n_rebuild_tensor_v2\n((' + text(b'storage') + b'ctorch\nFloatStorage\n'
        + text(b'0') + text(b'cpu') + b'J' + struct.pack('<i', numel) + b'tQ'
        b'K\x00' + size + stride + b'\x89ccollections\nOrderedDict\n)RtR'
    )  # fmt: skip


def write_zip(path: Path, content: bytes, **entries: bytes) -> str:
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('archive/data.pkl', content)
        file.writestr('archive/version', '3\n')
        file.writestr('archive/data/0', bytes(16))
        for name, data in entries.items():
            file.writestr(f'archive/{name}', data, zipfile.ZIP_DEFLATED)
    return str(path)


def write_legacy(path: Path, content: bytes, keys: tuple = ('0',)) -> str:
    """Write a file in torch's format before 1.6, with the storages named in ``keys``."""
    header = b''.join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}))
    content = content.replace(b'tQ', b'NtQ')  # a storage has one more field there
    if b'tQ' not in content:
        keys = ()
    storages = (struct.pack('<q', 4) + bytes(16)) * len(keys)
    path.write_bytes(header + content + pickle.dumps(list(keys), 2) + storages)
    return str(path)


WRITERS = {'zip': write_zip, 'legacy': write_legacy}

PAIRS = b')q\x00' + b'h\x00h\x00\x86q\x00' * 60  # each tuple holds the last one twice
LISTS = b']q\x00' + b'](h\x00h\x00eq\x00' * 60  # each list likewise

BOMBS = {
    'a tensor of 4 GiB that is one number': tensor(number(2**30) + b'\x85', b'K\x00\x85'),
    'a buffer': b'cbuiltins\nbytearray\n' + number(2**32) + b'\x85R',
    'a new tensor': b'ctorch\nFloatTensor\n' + number(2**30) + b'\x85R',
    'a new tensor by NEWOBJ': b'ctorch\nTensor\n' + number(2**30) + b'\x85\x81',
    'a new storage': b'ctorch.storage\nUntypedStorage\n' + number(2**32) + b'\x85R',
    'lists of lists': LISTS,
    'a function that prints without end': LISTS + b'h\x00)R',
    'a key that hashes without end': PAIRS + b'}h\x00Ns',
    'a set that hashes without end': PAIRS + b'cbuiltins\nset\n]h\x00a\x85R',
    'a frozen set that hashes without end': PAIRS + b'cbuiltins\nfrozenset\n]h\x00a\x85R',
    'a dict that hashes without end': (
        PAIRS + b'ccollections\nOrderedDict\n]h\x00N\x86a\x85R'
    ),
    'sets of sets': (
        b'cbuiltins\nfrozenset\nq\x01)Rq\x00' + b'h\x01](h\x00h\x00\x86h\x00e\x85Rq\x00' * 40
    ),
}  # fmt: skip


def pickled(operations: bytes) -> bytes:
    return b'\x80\x02' + operations + b'.'


def write_two_directories(path: Path, seen_by_python: bytes, seen_by_torch: bytes) -> str:
    """Write a zip file of two archives, of which Python reads one and torch the other.

    Python adds the bytes before the archive to the offset of the directory, torch does not.
    """
    length = max(len(seen_by_python), len(seen_by_torch))
    archives = []
    for content in (seen_by_torch, seen_by_python):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w') as file:
            file.writestr('archive/data.pkl', content.ljust(length, b'N'))
            file.writestr('archive/version', '3\n')
        archives.append(buffer.getvalue())
    end = archives[0].rindex(b'PK\x05\x06')
    path.write_bytes(archives[0][:end] + archives[1])
    return str(path)
