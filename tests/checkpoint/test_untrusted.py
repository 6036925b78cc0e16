"""Untrusted checkpoints run no code within bounded memory and time, and load as plain data."""

import argparse
import datetime
import os
import pathlib
import pickle
import time
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from crafted_checkpoints import FORMS, Name, attacks, write
from crafted_pickles import (
    BOMBS,
    WRITERS,
    number,
    pickled,
    tensor,
    write_legacy,
    write_two_directories,
    write_zip,
)
from forked_reader import forked_child, read_forked  # noqa: F401
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from torch import nn

from epsanet_mmdet.checkpoint import load_untrusted, untrusted
from epsanet_mmdet.errors import CheckpointError


def refusal(path, read=load_untrusted) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(str(path))
    message = str(caught.value)
    assert '\n' not in message and message.startswith(str(path)) and len(message) < 1000
    return message


@pytest.fixture
def marker(tmp_path):
    path = tmp_path / 'ran'
    yield path
    assert not path.exists(), 'the checkpoint ran code'


# Attacks


@pytest.mark.parametrize('name', attacks('unused'))
@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_every_attack_is_refused_by_the_name_of_what_it_calls(form, name, marker, tmp_path):
    payload, called = attacks(marker)[name]
    assert called in refusal(write(tmp_path / 'evil.pth', payload, form), read_forked)


@pytest.mark.parametrize('form', FORMS)
def test_nothing_runs_in_any_container(form, marker, tmp_path):
    refusal(write(tmp_path / 'evil.pth', attacks(marker)['system'][0], form), read_forked)


@pytest.mark.parametrize('form', WRITERS)
@pytest.mark.parametrize('name', BOMBS)
def test_the_system_stops_a_file_that_takes_memory_or_time(name, form, tmp_path):
    path = WRITERS[form](tmp_path / 'bomb.pth', pickled(BOMBS[name]))
    assert os.path.getsize(path) < 2500
    refusal(path, lambda path: read_forked(path, memory=2**26, seconds=1))
    seconds, memory = read_forked.usage
    assert seconds < 4


def test_the_child_itself_is_limited_in_memory(tmp_path):
    path = write_zip(tmp_path / 'bomb.pth', pickled(BOMBS['a tensor of 4 GiB that is one number']))
    assert os.path.getsize(path) < 1000
    assert 'more memory' in refusal(path)


def test_the_child_itself_is_limited_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, 'SECONDS', (1, 0))
    path = write_zip(tmp_path / 'bomb.pth', pickled(BOMBS['a key that hashes without end']))
    begin = time.monotonic()
    assert 'more memory or time' in refusal(path)
    assert time.monotonic() - begin < 60


def test_a_child_that_waits_is_killed(tmp_path, monkeypatch):
    """Needed where the system does not limit CPU time, or the disk does not answer."""
    monkeypatch.setattr(untrusted, 'PATIENCE', (1, 0))
    (tmp_path / 'child.py').write_text('import time; time.sleep(600)')
    monkeypatch.setattr(untrusted, 'CHILD', str(tmp_path / 'child.py'))
    torch.save({}, tmp_path / 'a.pth')
    begin = time.monotonic()
    assert 'more than 1 s' in refusal(tmp_path / 'a.pth')
    assert time.monotonic() - begin < 10


def test_a_child_that_cannot_start_is_not_reported_as_a_bad_file(tmp_path, monkeypatch):
    (tmp_path / 'child.py').write_text('import no_such_module')
    monkeypatch.setattr(untrusted, 'CHILD', str(tmp_path / 'child.py'))
    torch.save({}, tmp_path / 'a.pth')
    assert 'No module named' in refusal(tmp_path / 'a.pth')


def test_an_archive_that_python_and_torch_read_differently_runs_nothing(marker, tmp_path):
    harmless = pickle.dumps({'state_dict': {}}, 2)
    write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    with zipfile.ZipFile(tmp_path / 'evil.pth') as archive:
        evil = archive.read('archive/data.pkl')
    path = write_two_directories(tmp_path / 'two.pth', harmless, evil)
    with zipfile.ZipFile(path) as archive:
        assert archive.read('archive/data.pkl').startswith(harmless)
    assert 'posix.system' in refusal(path, read_forked)


def test_an_archive_that_unpacks_to_a_gigabyte_is_refused(tmp_path):
    path = tmp_path / 'a.pth'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr('archive/data.pkl', pickled(b'N0' * 2**27 + b'N'))
        file.writestr('archive/version', '3\n')
    assert os.path.getsize(path) < 2**21
    refusal(path, lambda path: read_forked(path, memory=2**26))


@pytest.mark.parametrize('make', ['pipe', 'folder', 'device'])
def test_pipes_folders_and_devices_are_not_read(make, tmp_path):
    path = '/dev/zero' if make == 'device' else str(tmp_path / make)
    if make == 'pipe':
        os.mkfifo(path)
    elif make == 'folder':
        os.mkdir(path)
    assert 'cannot be read (it is a' in refusal(path)


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, 'Permission denied')

    torch.save({}, tmp_path / 'a.pth')
    monkeypatch.setattr('builtins.open', refuse)
    assert 'Permission denied' in refusal(tmp_path / 'a.pth')


# Tensors that would be arbitrary


def sparse(size: int) -> torch.Tensor:
    return torch.sparse_coo_tensor([[0, size - 1]], [1.0, 2.0], (size,), check_invariants=False)


def test_sparse_tensors_with_indices_out_of_range_are_refused(tmp_path):
    path = tmp_path / 'sparse.pth'
    torch.save(sparse(77), path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    shape = pickle.dumps(77, 2)[2:-1]
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(shape + b'\x85', b'K\x05\x85'))
    assert 'size is inconsistent with indices' in refusal(path, read_forked)


@pytest.mark.parametrize('keys', [(), ('1',)], ids=['none', 'another'])
def test_an_old_file_that_lacks_storages_is_refused(keys, tmp_path):
    one = pickled(tensor(number(4) + b'\x85', b'K\x01\x85'))
    assert read_forked(write_legacy(tmp_path / 'whole.pth', one))
    refusal(write_legacy(tmp_path / 'old.pth', one, keys), read_forked)


# Honest files


@pytest.fixture
def reload(forked_child, tmp_path):  # noqa: F811
    """Return a function that saves a value and loads it as an untrusted checkpoint."""

    def reload(content):
        torch.save(content, tmp_path / 'honest.pth')
        return load_untrusted(tmp_path / 'honest.pth')

    return reload


def nested(depth: int) -> list:
    value = [1]
    for _ in range(depth):
        value = [value]
    return value


NOW = datetime.datetime(2024, 2, 29, 12, 30, 1)
REPLACED = {
    'an ordered dict': (OrderedDict(a=1), dict(a=1)),
    'a default dict': (defaultdict(list, a=[1]), dict(a=[1])),
    'a default dict of another kind': (defaultdict(int, a=1), dict(a=1)),
    'a counter': (Counter('aab'), dict(a=2, b=1)),
    'a set': ({1}, [1]),
    'a frozen set as key': ({frozenset((1,)): 2}, {(1,): 2}),
    'a namespace': (argparse.Namespace(lr=0.1, path=None), dict(lr=0.1, path=None)),
    'a config': (ConfigDict(a=dict(b=[1, 2])), dict(a=dict(b=[1, 2]))),
    'a path': (pathlib.PurePosixPath('a/b'), 'a/b'),
    'a path of Windows': (pathlib.PureWindowsPath('a'), 'a'),
    'a time': (NOW, '2024-02-29 12:30:01'),
    'a day': (NOW.date(), '2024-02-29'),
    'a number of NumPy': (np.float64(1.5), 1.5),
    'a string of NumPy': (np.str_('name'), 'name'),
    'an array': (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    'an array of strings': (np.array(['a', 'bcd']), ['a', 'bcd']),
    'a history': ([HistoryBuffer([1.0], [1])], [None]),
    'a class that is not called': ({nn.Linear: 1, 'a': 2}, dict(a=2)),
    'bytes': (dict(a=b'raw', b=1), dict(b=1)),
}


@pytest.mark.parametrize('what', REPLACED)
def test_the_content_of_pretrained_files_loads_as_plain_data(what, reload):
    given, expected = REPLACED[what]
    assert reload(dict(value=given))['value'] == expected


def test_plain_data_loads_unchanged(reload):
    content = dict(
        meta=dict(classes=('a', 'b'), palette=[(1, 2, 3)], epoch=3, none=None, ok=True, x=1e-300),
        keys={(i, i): i for i in range(5000)},
        nested=nested(70),
        large=2**200,
        text='line\nä\ud800',
        infinite=[float('inf')],
    )
    assert reload(content) == content


FLOATS = (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)


def test_tensors_load_bit_for_bit(reload):
    base = torch.randn(100)
    tensors = dict(
        views=base[3:], whole=base, transposed=base.view(10, 10).t(),
        expanded=base[:1].expand(1000), zero=torch.tensor(3),
        empty=torch.zeros(0, 5), parameter=nn.Parameter(base),
        **{str(kind): base.to(kind) for kind in FLOATS},
        **{str(kind): base.to(kind) for kind in (torch.bool, torch.int64, torch.uint8)},
    )  # fmt: skip
    loaded = reload(dict(state_dict=tensors, again=base))
    for name, value in tensors.items():
        found = loaded['state_dict'][name]
        assert found.dtype == value.dtype and found.shape == value.shape, name
        assert (
            found.contiguous()
            .view(torch.uint8)
            .equal(value.detach().contiguous().view(torch.uint8))
            if value.ndim
            else found == value
        ), name
    assert loaded['again'].equal(base)


def test_the_state_of_a_training_and_config_texts_are_left_out(tmp_path):
    content = dict(
        state_dict=dict(w=torch.ones(1)),
        ema_state_dict=dict(w=torch.ones(1)),
        optimizer=dict(state={0: dict(exp_avg=torch.ones(1000))}),
        param_schedulers=[dict(last_step=1)],
        meta=dict(epoch=1, cfg='import os', config='import os'),
        message_hub=dict(log_scalars=dict(loss=HistoryBuffer()), runtime_info=dict(cfg='code')),
    )
    path = tmp_path / 'a.pth'
    torch.save(content, path)
    loaded = load_untrusted(path)
    assert loaded.keys() == {'state_dict', 'ema_state_dict', 'meta', 'message_hub'}
    assert loaded['meta'] == dict(epoch=1)
    assert loaded['message_hub'] == dict(log_scalars={}, runtime_info={})


def test_statistics_registered_by_another_program_do_not_prevent_loading(tmp_path):
    """A pickled buffer names them, though nothing calls them."""
    name = Name('no_such_module', 'weighted_mean')
    path = write(tmp_path / 'a.pth', dict(statistics_methods={'weighted_mean': name}))
    assert read_forked(path)


def test_the_temporary_file_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setattr('tempfile.tempdir', None)
    torch.save(dict(w=torch.ones(1)), tmp_path / 'a.pth')
    assert load_untrusted(tmp_path / 'a.pth')['w'].item() == 1
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


def test_tensors_are_loaded_on_the_requested_device(tmp_path):
    torch.save({'w': torch.ones(2)}, tmp_path / 'w.pth')
    assert load_untrusted(tmp_path / 'w.pth', 'meta')['w'].device.type == 'meta'


# Odd ones

WEIGHT = torch.ones(2, 2)
ODD = {
    'quantised': (torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.quint8), 'quantised'),
    'sparse': (WEIGHT.to_sparse(), 'sparse'),
    'by rows': (WEIGHT.to_sparse_csr(), 'sparse'),
    'meta': (WEIGHT.to('meta'), 'empty'),
    'complex': (WEIGHT.to(torch.complex64), 'complex64'),
    'a module': (nn.Linear(1, 1), 'torch.nn.modules.linear.Linear'),
    'nested too deep': (nested(400), 'nested'),
}


@pytest.mark.parametrize('what', ODD)
def test_odd_content_is_named(what, tmp_path):
    value, reason = ODD[what]
    torch.save(dict(state_dict={'layer.weight': value}), tmp_path / 'odd.pth')
    message = refusal(tmp_path / 'odd.pth', read_forked)
    assert reason in message
    assert 'layer.weight' in message or not isinstance(value, torch.Tensor)
