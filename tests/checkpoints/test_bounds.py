"""A checkpoint cannot take more time, memory or stack than its bytes can stand for."""

import io
import os
import pickle
import resource
import struct
import time
import zipfile

import pytest
import torch
from crafted_checkpoints import Call, Name, Pickler
from mmengine.logging import HistoryBuffer

from epsanet_mmdet.checkpoints import restricted_load
from epsanet_mmdet.errors import CheckpointError

REBUILD = Name('torch._utils', '_rebuild_tensor_v2')
ARRAY = Name('numpy.core.multiarray', '_reconstruct')


def dump(payload) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump(payload)
    return buffer.getvalue()


def binunicode(text: bytes) -> bytes:
    return b'X' + struct.pack('<I', len(text)) + text


STORAGE = (
    b'(' + binunicode(b'storage') + b'ctorch\nFloatStorage\n' + binunicode(b'0')
    + binunicode(b'cpu')
)  # fmt: skip


def tensor(size: bytes, stride: bytes, numel: int = 4) -> bytes:
    """Give the operations of a tensor of a storage of ``numel`` floats."""
    return (
        b'ctorch._utils\n_rebuild_tensor_v2\n(' + STORAGE + b'J' + struct.pack('<i', numel) + b'tQ'
        b'K\x00' + size + stride + b'\x89ccollections\nOrderedDict\n)RtR'
    )  # fmt: skip


def long1(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def write_zip(path, content: bytes, storage: bytes = bytes(16), **entries) -> str:
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('archive/data.pkl', content)
        file.writestr('archive/version', '3\n')
        file.writestr('archive/data/0', storage)
        for name, data in entries.items():
            file.writestr(f'archive/{name}', data, zipfile.ZIP_DEFLATED)
    return str(path)


def write_legacy(path, content: bytes) -> str:
    header = b''.join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}))
    content = content.replace(b'tQ', b'NtQ')  # a storage has one thing more to say there
    keys, storage = (['0'], struct.pack('<q', 4) + bytes(16)) if b'tQ' in content else ([], b'')
    path.write_bytes(header + content + pickle.dumps(keys, 2) + storage)
    return str(path)


WRITERS = {'zip': write_zip, 'legacy': write_legacy}


@pytest.fixture
def refused():
    """Refuse within a second or two, and a hundred MiB."""

    def call(path) -> str:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.process_time()
        with pytest.raises(CheckpointError) as caught:
            restricted_load(path)
        assert time.process_time() - begin < 5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100 * 1024  # KiB
        message = str(caught.value)
        assert '\n' not in message and message.startswith(str(path)) and len(message) < 1000
        return message

    return call


PAIRS = b')q\x00' + b'h\x00h\x00\x86q\x00' * 60  # each of twice the last one
LISTS = b']q\x00' + b'](h\x00h\x00eq\x00' * 60


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    return opening * depth + b'N' + closing * depth


BOMBS = {
    'buffer': b'cbuiltins\nbytearray\n' + long1(2**33) + b'\x85R',
    'buffer by a list': b'cbuiltins\nbytearray\n]' + long1(2**33) + b'aR',
    'buffer by a size': b'cbuiltins\nbytearray\nctorch\nSize\n' + long1(2**33) + b'\x85\x85RR',
    'new tensor': b'ctorch\nFloatTensor\n' + long1(2**33) + b'\x85R',
    'new tensor by NEWOBJ': b'ctorch\nTensor\n' + long1(2**33) + b'\x85\x81',
    'new storage': b'ctorch.storage\nUntypedStorage\n' + long1(2**40) + b'\x85R',
    'key that hashes without end': PAIRS + b'}h\x00Ns',
    'set that hashes without end': PAIRS + b'cbuiltins\nset\n]h\x00a\x85R',
    'function that prints without end': LISTS + b'h\x00)R',
    'class that prints without end': LISTS + b'h\x00)\x81',
    'dtype that prints without end': LISTS + b'cnumpy\ndtype\nh\x00\x85R',
    'attribute that prints without end': LISTS + b'cbuiltins\ngetattr\nh\x00h\x00\x86R',
    'lists of lists without end': LISTS,
    'list that holds itself': b']q\x00h\x00a',
    'tuples deep enough to overflow the stack': b'}' + nested(100000, b'', b'\x85') + b'Ns',
    'lists nested deep': nested(100000, b']', b'a'),
    'dicts nested deep': b'}' + b'N}' * 50000 + b's' * 50000,
    'codec': b'c_codecs\nencode\n' + binunicode(b'x') + binunicode(b'punycode') + b'\x86R',
    'nested tensor': b'ctorch._utils\n_rebuild_nested_tensor\n(NNNNtR',
    'dtype with a name without end': b'cnumpy\ndtype\n' + binunicode(b'f8,' * 9999) + b'\x85R',
    'more storage than there is': tensor(long1(10**6) + b'\x85', b'K\x01\x85', 10**6),
    'negative storage': tensor(b'K\x01\x85', b'K\x01\x85', -5),
    'size beyond the storage': tensor(long1(10**9) + b'\x85', b'K\x01\x85'),
    'size of one value': tensor(long1(2**40) + b'\x85', b'K\x00\x85'),
    'size that overflows': tensor(long1(2**62) + long1(2**62) + b'\x86', b'K\x00K\x00\x86'),
    'negative size': tensor(b'J\xff\xff\xff\xff\x85', b'K\x01\x85'),
    'storage of another kind': b'(' + binunicode(b'module') + b'NNNNtQ',
    'storage that is a number': b'K\x01Q',
    'array larger than its bytes': dump(
        Call(ARRAY, Name('numpy', 'ndarray'), (0,), b'b',
             state=(1, (10**9,), Call(Name('numpy', 'dtype'), 'f8', False, True,
                                      state=(3, '<', None, None, None, -1, -1, 0)), False, b'x'))
    )[2:-1],
}  # fmt: skip


@pytest.mark.parametrize('form', WRITERS)
@pytest.mark.parametrize('name', BOMBS)
def test_refuses(name, form, tmp_path, refused):
    message = refused(WRITERS[form](tmp_path / 'bomb.pth', b'\x80\x02' + BOMBS[name] + b'.'))
    assert not any(word in message for word in ('Unsupported', 'unpack', 'SETITEM', 'index'))


def test_keys_whose_hashes_collide(tmp_path, refused):
    collide = b''.join(long1(2**61 * (k << 61) - (k << 61)) + b'N' for k in range(1, 3000))
    assert 'keys' in refused(write_zip(tmp_path / 'a.pth', b'\x80\x02}(' + collide + b'u.'))


@pytest.mark.parametrize('kind', ['set', 'Counter'])
def test_sets_whose_hashes_collide(kind, tmp_path, refused):
    name = b'cbuiltins\nset\n' if kind == 'set' else b'ccollections\nCounter\n'
    collide = b''.join(long1((k << 61) - k) for k in range(10, 3000))
    refused(write_zip(tmp_path / 'a.pth', b'\x80\x02' + name + b'](' + collide + b'e\x85R.'))


def test_an_archive_that_unpacks_to_a_gigabyte(tmp_path, refused):
    path = write_zip(tmp_path / 'a.pth', pickle.dumps({}, 2), bomb=bytes(2**28))
    assert os.path.getsize(path) < 2**20
    assert 'unpacks' in refused(path)


def test_a_pickle_that_unpacks_to_a_gigabyte(tmp_path, refused):
    path = tmp_path / 'a.pth'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('archive/data.pkl', b'\x80\x02' + b'N0' * 2**26 + b'N.')
    assert 'unpacks' in refused(str(path))


@pytest.mark.parametrize('stated', [2**20, 2**31 - 1, 2**32 - 1])
def test_an_archive_that_lies_about_its_sizes(stated, tmp_path, refused):
    path = tmp_path / 'a.pth'
    torch.save({'w': torch.ones(4)}, path)
    content = bytearray(path.read_bytes())
    for place in [i for i in range(len(content)) if content[i : i + 4] == b'PK\x01\x02']:
        content[place + 24 : place + 28] = struct.pack('<I', stated)
    path.write_bytes(content)
    refused(str(path))


@pytest.mark.parametrize('make', ['pipe', 'folder', 'device'])
def test_what_is_no_file_is_not_waited_for(make, tmp_path):
    path = '/dev/zero' if make == 'device' else str(tmp_path / make)
    if make == 'pipe':
        os.mkfifo(path)
    elif make == 'folder':
        os.mkdir(path)
    with pytest.raises(CheckpointError, match='is no file'):
        restricted_load(path)


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, 'Permission denied')

    torch.save({}, tmp_path / 'a.pth')
    monkeypatch.setattr('builtins.open', refuse)
    with pytest.raises(CheckpointError, match='Permission denied'):
        restricted_load(str(tmp_path / 'a.pth'))


# What honest checkpoints hold stays within the bounds.


@pytest.mark.parametrize('zipped', [True, False])
def test_honest_extremes(zipped, tmp_path):
    base = torch.arange(100.0)
    classes = tuple(f'class {i}' for i in range(21841))
    content = {
        'views': [base[i:] for i in range(50)],
        'expanded': torch.ones(1).expand(1000),
        'history': HistoryBuffer([0.5] * 200000, [1] * 200000),
        'classes': [classes, classes, classes],
        'nested': [[[[[[[[[[1]]]]]]]]]],
        'keys': {(i, i): i for i in range(500)},
        'buffer': bytearray(2**21),
        'sparse': torch.ones(2, 3).to_sparse(),
        'large': [2**200],
        'empty': torch.zeros(0, 5),
        'shared': dict.fromkeys(range(1000), {'lr': 0.1, 'betas': (0.9, 0.999)}),
        'types': [torch.zeros(1, dtype=t) for t in (torch.uint8, torch.bool, torch.complex64)],
    }
    path = tmp_path / 'honest.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    loaded = restricted_load(str(path))
    assert loaded.keys() == content.keys() and loaded['classes'][2] == classes
    assert loaded['views'][7].untyped_storage().data_ptr() == (
        loaded['views'][0].untyped_storage().data_ptr()
    )


def test_reads_from_where_the_file_stands():
    file = io.BytesIO()
    file.write(b'before')
    torch.save({'a': 1}, file, _use_new_zipfile_serialization=False)
    file.seek(len(b'before'))
    assert restricted_load(file) == {'a': 1}
