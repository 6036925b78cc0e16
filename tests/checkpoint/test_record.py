"""Damage to a checkpoint, to its record or to last_checkpoint is detected and named."""

import os
import signal
import tempfile
from pathlib import Path

import flip_bits
import pytest
import torch
from mmengine.fileio import get_file_backend

from epsanet_mmdet.checkpoint import record as checkpoint_record
from epsanet_mmdet.checkpoint.record import RECORD, find_fault, read_record, write_recorded


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / 'epoch_1.pth'
    write_recorded(flip_bits.small_checkpoint(1), path)
    return path


@pytest.fixture
def unrecorded(checkpoint) -> Path:
    """A checkpoint of an earlier version or of mmengine."""
    (checkpoint.parent / RECORD).unlink()
    return checkpoint


def test_the_backend_records_the_files_it_writes_and_forgets_those_it_removes(tmp_path):
    backend = get_file_backend(str(tmp_path), backend_args=dict(backend='atomic'))
    backend.put(b'bytes', tmp_path / 'a')
    backend.put_text('wörter', tmp_path / 'b')
    assert backend.get(tmp_path / 'a') == b'bytes'
    assert backend.get_text(tmp_path / 'b') == 'wörter'
    assert list(read_record(tmp_path)) == ['a'] and find_fault(tmp_path / 'a') is None
    backend.remove(str(tmp_path / 'a'))
    assert read_record(tmp_path) == {}


def test_the_record_has_size_and_sha256_by_name(tmp_path):
    write_recorded(b'abc', tmp_path / 'a.pth')
    abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'  # of FIPS 180-2
    assert read_record(tmp_path) == {'a.pth': [(3, abc)]}


@pytest.mark.parametrize('share', [0.1, pytest.param(1, marks=pytest.mark.slow(minutes=3))])
def test_no_changed_bit_is_resumed_from_unnoticed(share, tmp_path):
    for name, outcomes in flip_bits.study(tmp_path, share).items():
        assert sum(outcomes.values()) > 10
        assert not outcomes['silent change'] and not outcomes['error'], (name, outcomes)
        if name == 'epoch_3.pth':
            assert outcomes.keys() == {'earlier one, named in a warning'}


def test_a_truncated_or_absent_checkpoint_is_named(checkpoint):
    os.truncate(checkpoint, 100)
    assert 'has 100 bytes, and had' in find_fault(checkpoint)
    checkpoint.unlink()
    assert find_fault(checkpoint) == 'does not exist'
    checkpoint.mkdir()
    assert find_fault(checkpoint) == 'is not a file'


@pytest.mark.parametrize('step', ['record', 'file', 'second record'])
@pytest.mark.parametrize('there', [False, True], ids=['new', 'replaced'])
def test_a_process_killed_while_saving_leaves_a_file_that_verifies(step, there, tmp_path):
    path = tmp_path / 'interrupted.pth'
    if there:
        write_recorded(b'old', path)
    pid = os.fork()
    if not pid:
        left = ['record', 'file', 'second record'].index(step) + 1
        replace = os.replace

        def replace_and_die(source, target):
            nonlocal left
            replace(source, target)
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = replace_and_die
        write_recorded(b'new', path)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    if step != 'record':
        assert path.read_bytes() == b'new' and find_fault(path) is None
    elif there:
        assert path.read_bytes() == b'old' and find_fault(path) is None
    else:
        assert find_fault(path) == 'does not exist'


def test_after_a_failed_write_the_old_file_still_verifies(tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    write_recorded(b'old', path)
    for _ in range(3):
        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(os, 'replace', fail_for(path))
            write_recorded(b'new', path)
    assert path.read_bytes() == b'old' and find_fault(path) is None


def fail_for(path: Path):
    replace = os.replace

    def fail(source, target):
        if Path(target) == path:
            raise OSError(5, 'Input/output error')
        replace(source, target)

    return fail


def test_a_damaged_record_does_not_condemn_its_checkpoints(checkpoint):
    (checkpoint.parent / RECORD).write_bytes(b'{}')
    assert read_record(checkpoint.parent) is None
    assert find_fault(checkpoint) is None
    write_recorded(b'next', checkpoint.with_name('epoch_2.pth'))
    assert list(read_record(checkpoint.parent)) == ['epoch_2.pth']


def test_a_checkpoint_that_may_not_be_read_is_named():
    with tempfile.TemporaryDirectory() as folder:  # which other users reach, unlike pytest's
        Path(folder).chmod(0o755)
        path = Path(folder, 'epoch_1.pth')
        write_recorded(b'bytes', path)
        path.chmod(0)
        pid = os.fork()
        if not pid:
            if os.getuid() == 0:
                os.setuid(65534)  # root may read everything
            os._exit(find_fault(path) != 'cannot be read (Permission denied)')
        assert os.waitpid(pid, 0)[1] == 0


def test_files_of_others_are_not_loaded_to_verify_them(tmp_path, monkeypatch):
    """Untrusted files are opened in a child process, by what loads them."""
    (tmp_path / 'pretrained.pth').write_bytes(b'PK')
    monkeypatch.setattr(checkpoint_record, 'restricted_load', lambda *_, **__: pytest.fail())
    assert find_fault(tmp_path / 'pretrained.pth', own=False) is None


# Checkpoints of earlier versions


def test_an_unrecorded_checkpoint_verifies_if_it_loads(unrecorded):
    assert find_fault(unrecorded) is None


@pytest.mark.parametrize('part', [0, 1, 0.3, 0.9, -1])
def test_a_truncated_unrecorded_checkpoint_is_named(part, unrecorded):
    data = unrecorded.read_bytes()
    unrecorded.write_bytes(data[: part if isinstance(part, int) else int(part * len(data))])
    assert find_fault(unrecorded)


def test_an_unrecorded_checkpoint_with_a_changed_weight_is_named(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    weight = torch.full((100,), 1.5)
    torch.save(dict(state_dict=dict(weight=weight)), path)
    data = path.read_bytes()
    start = data.index(weight.numpy().tobytes())
    for damage in (bytes([data[start + 40] ^ 1]), bytes(200)):
        damaged = bytearray(data)
        damaged[start + 40 : start + 40 + len(damage)] = damage
        path.write_bytes(bytes(damaged))
        assert 'checksum' in find_fault(path)


def test_files_that_are_not_checkpoints_are_named(tmp_path):
    (tmp_path / 'text.pth').write_text('<html>')
    assert 'cannot be loaded' in find_fault(tmp_path / 'text.pth')
    assert find_fault(tmp_path) == 'is not a file'
