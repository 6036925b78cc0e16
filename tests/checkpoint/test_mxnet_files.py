"""MXNet's parameter files are read whole, and any other bytes are refused in one line."""

import struct
import tracemalloc

import numpy as np
import pytest
import torch
from gluon_files import array_bytes, list_bytes, write_params
from mmengine.runner import CheckpointLoader
from one_line import error_line

from epsanet_mmdet.checkpoint import load_untrusted
from epsanet_mmdet.checkpoint.mxnet_files import read_params
from epsanet_mmdet.checkpoint.weight_files import read_weights
from epsanet_mmdet.errors import CheckpointError

ONE = np.arange(6, dtype='float32').reshape(2, 3)
HEADER = struct.pack('<QQ', 0x112, 0)
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA


def shaped(*dimensions, magic=V2, storage=0, kind=0, content=b''):
    """An array of any shape, whatever it contains."""
    head = struct.pack('<Ii', magic, storage)
    shape = struct.pack(f'<i{len(dimensions)}q', len(dimensions), *dimensions)
    return head + shape + struct.pack('<iii', 1, 0, kind) + content


def refusal(content, path) -> str:
    path.write_bytes(content)
    message = error_line(CheckpointError, read_params, path)
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    'kind', ['float32', 'float64', 'float16', 'uint8', 'int32', 'int8', 'int64']
)
def test_numbers_of_every_kind_are_read(kind, tmp_path):
    tensors = {
        'conv.weight': torch.arange(24).view(2, 3, 4).to(getattr(torch, kind)),
        'é.running_mean': torch.ones(1, dtype=getattr(torch, kind)),
    }
    loaded = read_params(write_params(tensors, tmp_path / 'a.params'))
    assert list(loaded) == list(tensors)
    for name, value in tensors.items():
        assert loaded[name].dtype == value.dtype and loaded[name].equal(value)


@pytest.mark.parametrize('magic', [V1, V2, V3], ids=['1', '2', '3'])
def test_every_version_of_arrays_is_read(magic, tmp_path):
    path = tmp_path / 'a.params'
    path.write_bytes(list_bytes([array_bytes(ONE, magic)], [b'w']))
    assert read_params(path)['w'].equal(torch.from_numpy(ONE))


def test_a_single_number_is_read(tmp_path):
    path = tmp_path / 'a.params'
    path.write_bytes(list_bytes([array_bytes(np.array(2.5, 'float32'), V3)], [b'w']))
    assert read_params(path)['w'].equal(torch.tensor(2.5))


@pytest.mark.parametrize('name', ['a.params', 'a.pth', 'a'])
def test_all_loaders_recognise_the_file_by_its_content(name, tmp_path):
    path = write_params({'w': torch.ones(2).half()}, tmp_path / name)
    assert load_untrusted(path)['w'].equal(torch.ones(2).half())
    assert CheckpointLoader.load_checkpoint(str(path))['w'].equal(torch.ones(2).half())
    assert read_weights(path).tensors['w'].equal(torch.ones(2))


def test_a_file_of_torch_with_this_suffix_is_one_of_torch(tmp_path):
    torch.save({'w': torch.ones(2)}, tmp_path / 'a.params')
    assert load_untrusted(tmp_path / 'a.params')['w'].equal(torch.ones(2))


@pytest.mark.parametrize(
    'content, fault',
    [
        (struct.pack('<QQ', 0x113, 0), 'begins otherwise'),
        (list_bytes([array_bytes(ONE)], [b'w']) + b'more', '4 more bytes after its end'),
        (list_bytes([array_bytes(ONE)] * 2, [b'w', b'w']), "2 arrays named 'w'"),
        (list_bytes([array_bytes(ONE)], []), '1 arrays and 0 names'),
        (list_bytes([array_bytes(ONE)], [b'w', b'v']), '1 arrays and 2 names'),
        (list_bytes([array_bytes(ONE)], [b'\xff']), 'not UTF-8'),
        (list_bytes([shaped(2, content=b'12345678', magic=2)], [b'w']), 'unknown form'),
        (list_bytes([shaped(2, content=b'12345678', storage=1)], [b'w']), 'sparse'),
        (list_bytes([shaped(2, content=b'12345678', kind=12)], [b'w']), 'unknown kind 12'),
        (list_bytes([shaped(2, content=b'12345678', kind=-1)], [b'w']), 'unknown kind -1'),
        (list_bytes([shaped(*[1] * 33, content=b'1234')], [b'w']), '33 dimensions'),
        (list_bytes([shaped()], [b'w']), 'without numbers'),
        (list_bytes([shaped(-1)], [b'w']), 'without numbers'),
        (list_bytes([shaped(0, 2**62, 2**62)], [b'w']), 'without numbers'),
        (HEADER + struct.pack('<Q', 2**64 - 1), 'more than 100000'),
        (list_bytes([], [])[:-8] + struct.pack('<Q', 2**63), 'more than 100000'),
        (list_bytes([], [])[:-8] + struct.pack('<QQ', 1, 2**63), 'ends too early'),
    ],
    ids=lambda value: value if isinstance(value, str) else 'file',
)
def test_other_content_is_refused_with_the_reason(content, fault, tmp_path):
    assert fault in refusal(content, tmp_path / 'a.params')


def test_every_file_that_ends_too_early_is_refused(tmp_path):
    content = list_bytes([array_bytes(ONE), array_bytes(ONE)], [b'first', b'second'])
    for end in range(len(content)):
        refusal(content[:end], tmp_path / 'a.params')


@pytest.mark.parametrize('dimensions', [(2**40,), (2**31, 2**31), (2**62,) * 32])
def test_a_stated_size_takes_no_memory(dimensions, tmp_path):
    content = list_bytes([shaped(*dimensions)], [b'w'])
    tracemalloc.start()
    assert 'ends too early' in refusal(content, tmp_path / 'a.params')
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_damage_is_named_by_the_loader_of_trainings(tmp_path):
    path = write_params({'w': torch.ones(9)}, tmp_path / 'a.params')
    path.write_bytes(path.read_bytes()[:-1])
    message = error_line(CheckpointError, CheckpointLoader.load_checkpoint, str(path))
    assert 'a.params is damaged' in message
