"""Files are written atomically, and a disk that refuses is named with the remedy."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from epsanet_mmdet.errors import StorageError
from epsanet_mmdet.utils.storage import (
    check_file_writable,
    remove_partial_files,
    save_whole,
    storage_error,
    write_json,
    write_whole,
)


def files(folder: Path) -> list:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / 'new folder' / 'a.pth'
    for content in (b'first', b'second, longer'):
        write_whole(content, path)
        assert path.read_bytes() == content
    assert files(path.parent) == ['a.pth']


@pytest.mark.parametrize('step', ['write', 'fsync', 'replace'])
def test_a_process_killed_at_any_step_leaves_the_old_file(step, tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(b'old')
    pid = os.fork()
    if not pid:

        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)

        if step == 'write':
            os.fsync = die  # the bytes are written, and not brought to the disk
        elif step == 'fsync':
            os.replace = die
        else:
            replace = os.replace
            os.replace = lambda a, b: (replace(a, b), die())
        write_whole(b'new' * 10000, path)
        os._exit(0)
    os.waitpid(pid, 0)
    assert path.read_bytes() == (b'new' * 10000 if step == 'replace' else b'old')
    remove_partial_files(tmp_path)
    assert files(tmp_path) == ['a.pth']


def test_partial_files_of_running_processes_and_other_files_stay(tmp_path):
    names = ['.a.pth.1.partial', 'a.partial', '.hidden', '.b.pth.99999999.partial']
    for name in names:
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)  # process 1 runs
    assert files(tmp_path) == sorted(names[:3])


def test_a_file_size_limit_is_an_error_that_names_folder_and_remedy(tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(b'old')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match=f"cannot write to '{tmp_path}'.*ulimit"):
            write_whole(b'x' * 2000, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b'old' and files(tmp_path) == ['a.pth']


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_a_device_that_is_full_is_an_error(tmp_path, monkeypatch):
    (tmp_path / '.a.pth.7.partial').symlink_to('/dev/full')
    monkeypatch.setattr(os, 'getpid', lambda: 7)
    with pytest.raises(StorageError, match='the disk is full; free space there'):
        write_whole(b'x' * 100000, tmp_path / 'a.pth')
    assert files(tmp_path) == []


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / 'work').touch()
    for folder in ('work', 'work/deeper'):
        for check in (check_file_writable, lambda path: write_whole(b'', path)):
            with pytest.raises(StorageError, match='a file is in the place of a folder'):
                check(tmp_path / folder / 'a.pth')


def test_text_json_and_torch_objects_are_written_whole_too(tmp_path):
    write_whole('wörter \udcff', tmp_path / 'a.txt')
    assert (tmp_path / 'a.txt').read_text(encoding='utf-8') == 'wörter \\udcff'
    write_json(dict(name='ä', values=[1, None]), tmp_path / 'a.json')
    assert json.loads((tmp_path / 'a.json').read_bytes()) == dict(name='ä', values=[1, None])
    save_whole(dict(w=torch.ones(2)), tmp_path / 'a.pth')
    assert torch.load(tmp_path / 'a.pth')['w'].equal(torch.ones(2))
    assert files(tmp_path) == ['a.json', 'a.pth', 'a.txt']


def test_checking_a_file_changes_nothing(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'old')
    check_file_writable(tmp_path / 'a.pth')
    assert files(tmp_path) == ['a.pth'] and (tmp_path / 'a.pth').read_bytes() == b'old'


READ_ONLY = next((d for d in ('/sys', '/proc') if os.path.ismount(d)), None)


@pytest.mark.skipif(READ_ONLY is None, reason='needs /sys or /proc')
def test_a_system_folder_cannot_be_written_to():
    with pytest.raises((StorageError, OSError)) as caught:
        write_whole(b'x', Path(READ_ONLY, 'a.pth'))
    assert READ_ONLY in str(caught.value)


def as_nobody(code: str) -> subprocess.CompletedProcess:
    """Run Python as a user without rights: root may write everywhere."""
    return subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )


@pytest.fixture
def open_folder():
    """A folder that other users reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize('call', ['check_file_writable(file)', 'write_whole(b"x", file)'])
def test_a_folder_without_permission_is_named(call, open_folder):
    code = f"""
import os, pathlib
from epsanet_mmdet.errors import StorageError
from epsanet_mmdet.utils.storage import check_file_writable, write_whole
folder = pathlib.Path({str(open_folder)!r})
file = folder / 'a.pth'
folder.chmod(0o555)
if os.getuid() == 0:
    os.setuid(65534)
try:
    {call}
except StorageError as error:
    print(error)
"""
    result = as_nobody(code)
    open_folder.chmod(0o700)
    assert f"cannot write to '{open_folder}': there is no permission" in result.stdout, (
        result.stderr
    )


def test_other_errors_are_not_taken_for_a_full_disk():
    assert storage_error(FileNotFoundError(errno.ENOENT, 'no')) is None
