"""Loading a run's own checkpoint runs no code, and loads everything that mmengine saves."""

import argparse
import datetime
import io
import pathlib
import pickle
import subprocess
import sys
import threading
import zipfile
from collections import Counter, OrderedDict, defaultdict
from functools import partial

import numpy as np
import pytest
import torch
from crafted_checkpoints import FORMS, Call, Name, attacks, write
from forked_reader import read_forked
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import CheckpointLoader, load_checkpoint
from one_line import error_line
from torch import nn

from epsanet_mmdet.checkpoint import load as safe_load
from epsanet_mmdet.checkpoint import restricted_load
from epsanet_mmdet.checkpoint.reader.harmless import PlainArray
from epsanet_mmdet.checkpoint.safetensors_files import write_weights
from epsanet_mmdet.errors import CheckpointError

NAMES = list(attacks('unused'))


class Allowed:
    """A custom class of a user."""

    def __init__(self, value):
        self.value = value


@pytest.fixture
def marker(tmp_path):
    """A file that no load may leave."""
    path = tmp_path / 'ran'
    yield path
    assert not path.exists(), 'the checkpoint ran code'


refusal = partial(error_line, CheckpointError)


# Refused


@pytest.mark.parametrize('name', NAMES)
def test_refuses_every_attack_by_the_name_of_what_it_calls(name, marker, tmp_path):
    payload, called = attacks(marker)[name]
    path = write(tmp_path / 'evil.pth', payload)
    message = refusal(restricted_load, path)
    assert message.startswith(path) and called in message


def test_the_attacks_work_where_nothing_stops_them(tmp_path):
    """Otherwise the tests above would prove nothing."""
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
    for load in (restricted_load, read_forked):
        assert 'TorchScript' in refusal(load, str(tmp_path / 'script.pth'))


def test_an_environment_variable_does_not_lift_the_restriction(marker, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    assert 'posix.system' in refusal(restricted_load, path)
    assert 'posix.system' in refusal(CheckpointLoader.load_checkpoint, path)


def test_arguments_do_not_lift_the_restriction(marker, tmp_path):
    path = write(tmp_path / 'evil.pth', attacks(marker)['eval'][0])
    with pytest.raises(CheckpointError, match='eval'):
        restricted_load(path, weights_only=False, pickle_module=pickle)


def test_an_unnamed_file_is_named_as_the_checkpoint(marker, tmp_path):
    path = write(tmp_path / 'evil.pth', attacks(marker)['eval'][0])
    content = io.BytesIO((tmp_path / 'evil.pth').read_bytes())
    assert refusal(restricted_load, content).startswith('the checkpoint is refused')
    assert refusal(restricted_load, tmp_path / 'evil.pth').startswith(path)


def test_old_files_and_safetensors_cannot_be_resumed(tmp_path):
    path = str(tmp_path / 'old.pth')
    torch.save({}, path, _use_new_zipfile_serialization=False)
    assert 'load_from' in refusal(restricted_load, path)
    path = str(tmp_path / 'weights.safetensors')
    write_weights(dict(w=torch.ones(1)), {}, path)
    assert 'nothing to resume' in refusal(restricted_load, path)


def test_sparse_tensors_with_bad_indices_are_refused(tmp_path):
    good = torch.ones(3).to_sparse(), torch.ones(2, 3).to_sparse_csr(), torch.ones(2, 3).to_sparse()
    torch.save(good, tmp_path / 'good.pth')
    assert restricted_load(tmp_path / 'good.pth')[0].to_dense().equal(torch.ones(3))
    bad = torch.sparse_coo_tensor([[0, 76]], [1.0, 2.0], (77,))
    torch.save([bad], tmp_path / 'bad.pth')
    with zipfile.ZipFile(tmp_path / 'bad.pth') as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / 'bad.pth', 'w') as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(b'K\x4d\x85', b'K\x05\x85'))
    assert 'size is inconsistent with indices' in refusal(restricted_load, tmp_path / 'bad.pth')


# The rest of the process is not affected


def test_loading_does_not_change_torch_for_others(tmp_path, monkeypatch):
    torch.save(HONEST['buffer'], tmp_path / 'a.pth')
    (tmp_path / 'code.pth').write_bytes(pickle.dumps(print, 2))
    before, seen = torch.load, []

    def look(*args, **kwargs):
        seen.append((torch.load is before, set(torch.serialization.get_safe_globals())))
        with pytest.raises(pickle.UnpicklingError):  # and others' loads still refuse ...
            torch.serialization.load(tmp_path / 'code.pth', weights_only=True)
        assert pickle.loads((tmp_path / 'code.pth').read_bytes()) is print  # ... or do not
        return torch.serialization.load(*args, **kwargs)

    monkeypatch.setattr(safe_load, 'torch_load', look)
    allowed = set(torch.serialization.get_safe_globals())
    restricted_load(tmp_path / 'a.pth')
    assert seen and all(is_same and listed == allowed for is_same, listed in seen)


def test_types_allowed_by_the_user_are_loaded(tmp_path):
    torch.save({'mine': Allowed(3)}, tmp_path / 'a.pth')
    assert 'Allowed' in refusal(restricted_load, tmp_path / 'a.pth')
    with torch.serialization.safe_globals([Allowed]):
        assert restricted_load(tmp_path / 'a.pth')['mine'].value == 3


def test_the_usual_list_for_mmengine_can_be_allowed_as_well(tmp_path):
    """Users who were refused by torch add these; ours have the same names."""
    reconstruct, scalar = (np.float64(1).__reduce__()[0], np.ones(1).__reduce__()[0])
    usual = [HistoryBuffer, getattr, np.ndarray, np.dtype, reconstruct, scalar]
    usual += [np.dtypes.Float64DType, np.dtypes.Int64DType]
    content = dict(HONEST, buffer=HistoryBuffer([1.0], [1]))
    torch.save({k: content[k] for k in ('buffer', 'float', 'int')}, tmp_path / 'a.pth')
    with torch.serialization.safe_globals(usual):
        for _ in range(5):
            assert restricted_load(tmp_path / 'a.pth')['float'] == 1.5


PATCH = """
import torch
original = torch.load
def load(*args, **kwargs):
    kwargs['weights_only'] = False
    return original(*args, **kwargs)
torch.load = load
"""


@pytest.mark.parametrize('place', ['torch.load', 'torch.serialization.load'])
def test_a_patch_of_torch_load_does_not_lift_the_restriction(place, marker, tmp_path):
    """Some programs force ``weights_only=False`` for the whole process before they import us."""
    path = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    also = '' if place == 'torch.load' else 'torch.serialization.load = load\n'
    code = (
        f'{PATCH}{also}from epsanet_mmdet.checkpoint import restricted_load\n'
        f'restricted_load({path!r})'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'CheckpointError' in run.stderr
    expected = 'posix.system' if place == 'torch.load' else 'torch.serialization.load is replaced'
    assert expected in run.stderr


# Damaged


@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_a_truncated_file_is_named_with_the_remedy(form, tmp_path):
    path = tmp_path / 'weights.pth'
    is_zip = form == 'zip'
    torch.save({'state_dict': {'w': torch.randn(500)}}, path, _use_new_zipfile_serialization=is_zip)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        message = refusal(restricted_load if is_zip else read_forked, str(path))
        assert str(path) in message and 'get it again' in message


@pytest.mark.parametrize('content', [b'<html>404</html>', b'\x80\x02.', b'\x80\x02}q\x00.', b'PK'])
def test_a_file_that_is_not_a_checkpoint_is_named(content, tmp_path):
    (tmp_path / 'page.pth').write_bytes(content)
    for load in (restricted_load, read_forked):
        assert 'page.pth' in refusal(load, str(tmp_path / 'page.pth'))


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
    'nested': [[[[[[[[1]]]]]]]],
    'expanded': torch.ones(1).expand(1000),
    'string': np.str_('disc'),
    'strings': np.array(['disc', 'a box']),
    'byte strings': np.array([b'a', b'bc']),
    'datetime': datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    'day': datetime.date(2024, 2, 29),
    'duration': datetime.timedelta(seconds=1.5),
    'namespace': argparse.Namespace(lr=0.1, milestones=[8, 11]),
    'path': pathlib.Path('work_dirs/a'),
    'pure path': pathlib.PurePosixPath('a'),
    'path of Windows': pathlib.PureWindowsPath('C:/a'),
    'config': ConfigDict(a=dict(b=[1, 2])),
    'default dict': defaultdict(list, a=[1]),
    'default dict inside': [(defaultdict(int, a=1), defaultdict(set)), defaultdict(None, b=2)],
    'counter': Counter('aab'),
    'frozen set': frozenset((1, 'a')),
    'many tuple keys': {(i, i): i for i in range(5000)},
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


@pytest.mark.parametrize('what', HONEST)
def test_loads_what_checkpoints_hold(what, tmp_path):
    path = tmp_path / 'honest.pth'
    torch.save(HONEST[what], path)
    for _ in range(2):  # and what was loaded can be saved and loaded again
        loaded = restricted_load(str(path))
        assert same(loaded, HONEST[what])
        assert type(loaded) in (type(HONEST[what]), PlainArray)
        torch.save(loaded, path)


def test_default_dicts_keep_a_harmless_factory_and_no_other(tmp_path):
    torch.save([defaultdict(list), defaultdict(Counter)], tmp_path / 'a.pth')
    lists, others = restricted_load(tmp_path / 'a.pth')
    assert lists['new'] == [] and others.default_factory is None
    forged = OrderedDict()
    forged.default_factory = torch.Tensor
    torch.save(forged, tmp_path / 'a.pth')
    assert restricted_load(tmp_path / 'a.pth').default_factory is None


def test_containers_that_contain_themselves_are_loaded(tmp_path):
    content = [defaultdict(list)]
    content.append(content)
    content[0]['self'] = content[0]
    torch.save(content, tmp_path / 'a.pth')
    loaded = restricted_load(tmp_path / 'a.pth')
    assert loaded[1] is loaded and loaded[0]['self'] is loaded[0]


def test_loads_numpy_pickles_from_before_and_since_numpy_2(tmp_path):
    path = tmp_path / 'numpy.pth'
    torch.save(HONEST['array'], path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    here, there = b'numpy._core.multiarray', b'numpy.core.multiarray'
    assert any(here in content or there in content for content in entries.values())
    for module in (here, there):
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in entries.items():
                archive.writestr(name, content.replace(here, there).replace(there, module))
        assert same(restricted_load(str(path)), HONEST['array'])


def test_a_loaded_history_can_be_updated():
    file = io.BytesIO()
    torch.save(HistoryBuffer([1.0, 3.0], [1, 1]), file)
    file.seek(0)
    buffer = restricted_load(file)
    buffer.update(5.0)
    assert buffer.mean() == 3.0 and buffer.max() == 5.0 and buffer.current() == 5.0
    assert buffer.statistics('min') == 1.0


def weighted_mean(buffer, weight):
    return float((buffer.data[0] * weight).sum())


@pytest.fixture
def registered():
    HistoryBuffer()  # which registers its own
    HistoryBuffer.register_statistics(weighted_mean)
    yield
    del HistoryBuffer._statistics_methods['weighted_mean']


def test_histories_with_registered_statistics(registered, tmp_path):
    torch.save(HistoryBuffer([1.0, 2.0], [1, 1]), tmp_path / 'a.pth')
    buffer = restricted_load(tmp_path / 'a.pth')
    assert buffer.statistics('weighted_mean', 2.0) == 6.0
    assert buffer.statistics('mean') == 1.5


def test_a_history_changes_no_statistics(tmp_path):
    """Otherwise the next log line would call functions named in the file."""
    before = dict(HistoryBuffer._statistics_methods)
    state = dict(statistics_methods={'mean': torch.Tensor, 'new': torch.Tensor})
    evil = Call(Name('mmengine.logging.history_buffer', 'HistoryBuffer'), state=state)
    restricted_load(write(tmp_path / 'a.pth', evil))
    assert HistoryBuffer._statistics_methods == {
        **{name: getattr(HistoryBuffer, name) for name in ('mean', 'max', 'min', 'current')},
        **before,
    }


SCHEDULERS = [
    dict(type='OneCycleLR', eta_max=0.1, total_steps=10),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=10, anneal_strategy='linear'),
    dict(type='CosineRestartLR', periods=[5], restart_weights=[1], eta_min=0),
    dict(type='LinearLR'), dict(type='PolyLR'), dict(type='MultiStepLR', milestones=[2]),
    dict(type='StepLR', step_size=2), dict(type='ExponentialLR', gamma=0.9),
    dict(type='ConstantLR'), dict(type='CosineAnnealingLR', T_max=4),
    dict(type='CosineAnnealingMomentum', T_max=4), dict(type='LinearMomentum'),
    dict(type='ReduceOnPlateauLR', monitor='loss'),
]  # fmt: skip


@pytest.mark.parametrize('settings', SCHEDULERS, ids=str)
@pytest.mark.parametrize('optimizer', ['SGD', 'AdamW'])
def test_the_state_of_schedulers_and_optimizers_is_loaded(settings, optimizer, tmp_path):
    weight = nn.Parameter(torch.ones(3))
    momentum = dict(momentum=0.9) if optimizer == 'SGD' else {}
    trained = getattr(torch.optim, optimizer)([weight], lr=0.1, **momentum)
    scheduler = PARAM_SCHEDULERS.build(dict(settings, optimizer=trained))
    weight.sum().backward()
    for _ in range(3):
        trained.step()
        scheduler.step(dict(loss=1.0)) if 'Plateau' in settings['type'] else scheduler.step()
    torch.save([scheduler.state_dict(), trained.state_dict()], tmp_path / 'a.pth')
    states = restricted_load(tmp_path / 'a.pth')
    scheduler.load_state_dict(states[0])
    trained.load_state_dict(states[1])
    (CheckpointLoader.load_checkpoint if 'OneCycle' in settings['type'] else read_forked)(
        str(tmp_path / 'a.pth')
    )


def test_checkpoints_can_be_loaded_in_several_threads(marker, tmp_path):
    torch.save(HONEST['buffer'], tmp_path / 'honest.pth')
    evil = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    failures = []

    def work():
        for _ in range(30):
            try:
                restricted_load(tmp_path / 'honest.pth')
            except Exception as error:
                failures.append(error)
            try:
                restricted_load(evil)
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
    """Mmdet's own tools import it through ``custom_imports``."""
    path = write(tmp_path / 'evil.pth', attacks(marker)['system'][0])
    code = (
        'import epsanet_mmdet, torch\n'
        'from mmengine.runner import load_checkpoint\n'
        f'load_checkpoint(torch.nn.Linear(1, 1), {path!r})'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'CheckpointError' in run.stderr and 'posix.system' in run.stderr
