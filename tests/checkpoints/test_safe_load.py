"""Loading runs no code, whatever the file tries, and loads every honest checkpoint."""

import io
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from crafted_checkpoints import FORMS, attacks, write
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from epsanet_mmdet.checkpoints import restrict_loaders, restricted_load
from epsanet_mmdet.errors import CheckpointError

NAMES = list(attacks('unused'))


@pytest.fixture
def marker(tmp_path):
    """A file that no load may leave."""
    path = tmp_path / 'ran'
    yield path
    assert not path.exists(), 'the checkpoint ran code'


def refusal(function, *args) -> str:
    with pytest.raises(CheckpointError) as caught:
        function(*args)
    message = str(caught.value)
    assert '\n' not in message
    return message


# Refused


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_refuses_every_attack_by_the_name_of_what_it_calls(form, name, marker, tmp_path):
    payload, called = attacks(marker)[name]
    path = write(tmp_path / 'evil.pth', payload, form)
    message = refusal(CheckpointLoader.load_checkpoint, path)
    assert message.startswith(path) and called in message


def test_the_attacks_work_where_nothing_stops_them(tmp_path):
    """Else the tests above would prove nothing."""
    path = tmp_path / 'ran'
    for name in ('system', 'eval', 'exec', 'open'):
        file = write(tmp_path / 'evil.pth', attacks(path)[name][0])
        torch.load(file, weights_only=False)
        assert path.exists()
        path.unlink()


@pytest.mark.parametrize('form', FORMS)
def test_runs_nothing_in_any_container(form, marker, tmp_path):
    path = write(tmp_path / 'evil.pth', attacks(marker)['system'][0], form)
    assert path in refusal(restricted_load, path)


def test_refuses_torchscript_archives(tmp_path):
    torch.jit.trace(nn.Linear(1, 1), torch.ones(1, 1)).save(tmp_path / 'script.pth')
    refusal(restricted_load, str(tmp_path / 'script.pth'))


@pytest.mark.parametrize('variable', ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'])
def test_the_environment_cannot_open_the_door(variable, marker, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, '1')
    path = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    assert 'posix.system' in refusal(CheckpointLoader.load_checkpoint, path)


def test_callers_and_process_wide_lists_cannot_open_the_door(marker, tmp_path):
    path = write(tmp_path / 'evil.pth', attacks(marker)['eval'][0])
    with torch.serialization.safe_globals([eval]):
        assert 'eval' in refusal(restricted_load, path)
        assert eval in torch.serialization.get_safe_globals(), 'the list is the process again'
    with pytest.raises(CheckpointError, match='eval'):
        restricted_load(path, weights_only=False, pickle_module=pickle)


def test_an_unnamed_file_is_named_as_the_checkpoint(marker, tmp_path):
    path = write(tmp_path / 'evil.pth', attacks(marker)['eval'][0])
    content = io.BytesIO((tmp_path / 'evil.pth').read_bytes())
    assert refusal(restricted_load, content).startswith('the checkpoint is refused')
    assert refusal(restricted_load, tmp_path / 'evil.pth').startswith(path)


def test_every_registered_loader_is_restricted():
    restrict_loaders()
    for prefix, loader in CheckpointLoader._schemes.items():
        assert getattr(loader, 'is_restricted', False), prefix


def test_a_download_is_restricted_too(marker, tmp_path, monkeypatch):
    evil = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    url = 'file://' + evil
    (tmp_path / 'hub' / 'checkpoints').mkdir(parents=True)
    load_from_http = CheckpointLoader._schemes['https://']
    assert 'posix.system' in refusal(load_from_http, url)


def test_torch_load_of_others_is_left_alone(tmp_path):
    before = torch.load
    torch.save({'a': 1}, tmp_path / 'a.pth')
    CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert torch.load is before


# Damaged


@pytest.mark.parametrize('form', [True, False], ids=['zip', 'legacy'])
def test_a_truncated_file_is_named_with_the_remedy(form, tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': {'w': torch.randn(500)}}, path, _use_new_zipfile_serialization=form)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        message = refusal(restricted_load, str(path))
        assert str(path) in message and 'get it again' in message


@pytest.mark.parametrize('content', [b'<html>404</html>', b'\x80\x02.', b'\x80\x02}q\x00.', b'PK'])
def test_what_is_no_checkpoint_is_named(content, tmp_path):
    (tmp_path / 'page.pth').write_bytes(content)
    assert 'page.pth' in refusal(restricted_load, str(tmp_path / 'page.pth'))


def test_an_absent_file_stays_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'absent.pth'))


def test_a_refused_file_changes_nothing_in_the_model(marker, tmp_path):
    model = nn.Linear(2, 2)
    before = model.weight.clone()
    path = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    refusal(load_checkpoint, model, path)
    assert model.weight.equal(before)


# Honest


HONEST = {
    'tensors': {'w': torch.randn(3), 'h': torch.randn(2).half(), 'b': torch.zeros(2).bfloat16()},
    'parameter': nn.Parameter(torch.randn(2)),
    'buffer': HistoryBuffer([1.0, 2.0], [1, 1]),
    'containers': {'l': [1, (2, 3)], 's': {1, 2}, 'n': None, 'f': 1.5, 'b': True, 'y': b'raw'},
    'float': np.float64(1.5),
    'int': np.int64(7),
    'bool': np.bool_(True),
    'array': np.arange(6, dtype=np.float32).reshape(2, 3),
    'fortran': np.asfortranarray(np.arange(6).reshape(2, 3)),
    'big endian': np.arange(3, dtype='>i4'),
    'empty': np.zeros((0, 4)),
    'empty buffer': HistoryBuffer(),
    'complex': np.ones(2, np.complex64),
    'scalar array': np.array(3.0),
    'large int': 2**70,
}


def same(a, b) -> bool:
    if isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and a.equal(b)
    if isinstance(b, (np.ndarray, np.generic)):
        native = a.dtype.newbyteorder('='), b.dtype.newbyteorder('=')
        return native[0] == native[1] and a.shape == b.shape and np.array_equal(a, b)
    if isinstance(b, HistoryBuffer):
        return all(same(x, y) for x, y in zip(a.data, b.data))
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in b)
    return a == b


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('what', HONEST)
def test_loads_what_checkpoints_hold(what, zipped, tmp_path):
    path = tmp_path / 'honest.pth'
    torch.save(HONEST[what], path, _use_new_zipfile_serialization=zipped)
    for _ in range(2):  # and what was loaded can be saved and loaded again
        loaded = CheckpointLoader.load_checkpoint(str(path))
        assert same(loaded, HONEST[what])
        torch.save(loaded, path)


def test_loads_numpy_pickles_from_before_and_since_numpy_2(tmp_path):
    path = tmp_path / 'numpy.pth'
    torch.save(HONEST['array'], path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    here, there = b'numpy._core.multiarray', b'numpy.core.multiarray'
    assert here in content or there in content
    for module in (here, there):
        path.write_bytes(content.replace(here, there).replace(there, module))
        assert same(restricted_load(str(path)), HONEST['array'])


def test_a_loaded_history_goes_on():
    file = io.BytesIO()
    torch.save(HistoryBuffer([1.0, 3.0], [1, 1]), file)
    file.seek(0)
    buffer = restricted_load(file)
    buffer.update(5.0)
    assert buffer.mean() == 3.0 and buffer.max() == 5.0 and buffer.current() == 5.0
    assert buffer.statistics('min') == 1.0


def test_maps_to_the_device_asked_for(tmp_path):
    torch.save({'w': torch.ones(2)}, tmp_path / 'w.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'w.pth'), map_location='meta')
    assert loaded['w'].device.type == 'meta'


def test_loads_in_several_threads_at_once(marker, tmp_path):
    """The list of allowed types belongs to the process: threads must not lose or widen it."""
    torch.save(HONEST['buffer'], tmp_path / 'honest.pth')
    evil = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    failures = []

    def work():
        for _ in range(30):
            try:
                CheckpointLoader.load_checkpoint(str(tmp_path / 'honest.pth'))
            except Exception as error:
                failures.append(error)
            try:
                CheckpointLoader.load_checkpoint(evil)
                failures.append('loaded')
            except CheckpointError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert torch.load.__module__ == 'torch.serialization'


def test_importing_the_package_is_what_restricts(marker, tmp_path):
    """As in mmdet's own tools, which import it through ``custom_imports``."""
    path = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    code = (
        'import epsanet_mmdet, torch\n'
        'from mmengine.runner import load_checkpoint\n'
        f'load_checkpoint(torch.nn.Linear(1, 1), {path!r})'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'CheckpointError' in run.stderr and 'posix.system' in run.stderr
